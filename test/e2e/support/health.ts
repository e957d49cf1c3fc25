// What tests ask about the health of members, and how they make one of them sick.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, GatewayClient, Message } from '../../../src/wire/client.ts';
import type { Lab } from '../../lab/lab.ts';
import { enter } from '../../lab/namespaces.ts';
import type { Backend } from '../../lab/topology.ts';

export type MemberHealth = Answer<'MemberHealth'>;

export const probeProtocol = { tcp: 1, http: 2, https: 3 } as const;

/** A probe each second that judges at once, unless it says otherwise. */
export function probe(name: string, over: Message<'Probe'> = {}): Message<'Probe'> {
  return {
    name,
    protocol: probeProtocol.http,
    port: 80,
    path: '/health',
    interval: { seconds: 1 },
    ...over,
  };
}

export async function listHealth(
  client: GatewayClient,
  request: Message<'ListMemberHealthRequest'> = {},
): Promise<readonly MemberHealth[]> {
  const members: MemberHealth[] = [];
  for await (const chunk of client.listMemberHealth(request)) members.push(...chunk.members);
  return members;
}

/** `b1 Up_Probe_Success`, in the order of the answer. */
export function words(members: readonly MemberHealth[]): readonly string[] {
  return members.map(({ member, reason }) => `${member} ${reason}`);
}

/** Waits until the health of a rule's members is as `isSo` says; tells what it was last where that does not come. */
export async function untilHealth(
  client: GatewayClient,
  request: Message<'ListMemberHealthRequest'>,
  isSo: (members: readonly MemberHealth[]) => boolean,
): Promise<readonly MemberHealth[]> {
  let members = await listHealth(client, request);
  for (let waited = 0; !isSo(members); waited += 50) {
    if (waited > 60_000) throw new Error(`never came: ${JSON.stringify(members)}`);
    await sleep(50);
    members = await listHealth(client, request);
  }
  return members;
}

/** Waits until just these members of a rule get new flows. */
export async function untilEligible(
  client: GatewayClient,
  request: Message<'ListMemberHealthRequest'>,
  ...names: readonly string[]
): Promise<readonly MemberHealth[]> {
  const wanted = names.toSorted().join(' ');
  const eligible = (members: readonly MemberHealth[]) =>
    members.flatMap(({ member, eligible }) => (eligible ? [member] : [])).toSorted();
  return await untilHealth(client, request, (members) => eligible(members).join(' ') === wanted);
}

/** A server on a machine that behaves as it is told to; see sick-server.py. */
export interface SickServer extends AsyncDisposable {
  become(way: string): Promise<void>;
}

export async function sickServer(
  lab: Lab,
  node: Backend['node'],
  port: number,
  way: string,
): Promise<SickServer> {
  const file = join(lab.directory, `way-${node}-${port}`);
  await writeFile(file, way);
  const program = join(import.meta.dirname, 'sick-server.py');
  const [command, args] = enter(lab.namespace(node), ['/usr/bin/python3', program, String(port), file]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return {
    become: (next) => writeFile(file, next),
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
