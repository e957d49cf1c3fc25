// Starts the machines' servers through the parent process in servers.py.
import { access, mkdir } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { slowness } from '../../slowness.ts';
import { startDaemon } from '../daemon.ts';
import { inLanes } from '../namespaces.ts';
import { runtimeDirectory, type Services } from '../record.ts';
import { type Backend, namespaceOf, namespacePath } from '../topology.ts';

/** Starts the parent, with a certificate for this lab alone. */
export async function startServerParent(lab: string): Promise<void> {
  const directory = runtimeDirectory(lab);
  const [certificate, control, health] = paths(lab);
  const request = ['req', '-x509', '-nodes', '-days', '30', '-subj', '/CN=penstock-lab'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  await execa('openssl', [...request, ...key, '-keyout', certificate, '-out', `${certificate}.crt`]);
  await execa('sh', ['-c', 'cat "$1.crt" >> "$1"', 'sh', certificate]);
  await mkdir(health);
  const program = join(import.meta.dirname, 'servers.py');
  const command = ['/usr/bin/python3', program, control, certificate, health];
  const log = join(directory, 'servers.log');
  await startDaemon(namespaceOf(lab, 'switch'), command, log);
  await untilPresent(control, log);
}

/** Starts servers on these machines; resolves when all of them listen. */
export async function startServers(
  lab: string,
  backends: readonly Backend[],
  services: Services,
): Promise<void> {
  const [, control] = paths(lab);
  await Promise.all(
    inLanes(8, backends, async ({ node }) => {
      const namespace = namespacePath(namespaceOf(lab, node));
      const order = { machine: node, namespace, ...services };
      const connection = createConnection(control);
      connection.write(`${JSON.stringify(order)}\n`);
      const answer = JSON.parse(await text(connection)) as { readonly error?: string };
      if (answer.error !== undefined) throw new Error(`The servers of ${node} do not start: ${answer.error}`);
    }),
  );
}

/** Where the status that a machine answers to GET /health stands. */
export function healthFile(lab: string, { node }: Backend): string {
  return join(paths(lab)[2], node);
}

function paths(lab: string): readonly [certificate: string, control: string, health: string] {
  const directory = runtimeDirectory(lab);
  return [join(directory, 'server.pem'), join(directory, 'servers.sock'), join(directory, 'health')];
}

async function untilPresent(path: string, log: string): Promise<void> {
  for (let waited = 0; waited < 10_000 * slowness; waited += 10) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return;
    await sleep(10);
  }
  throw new Error(`The machines' servers do not start; see ${log}`);
}
