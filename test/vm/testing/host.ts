// What guests must leave as it is on the host.
import { readFile } from 'node:fs/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, expect } from 'vitest';

/** Compares the host's network, ruleset and mounts at the end of a file's tests with those at its beginning. */
export function leavesTheHostAlone(): void {
  let before: Host;
  beforeAll(async () => {
    before = await snapshot();
  });
  afterAll(async () => {
    expect(await snapshot()).toEqual(before);
  });
}

export type Host = Awaited<ReturnType<typeof snapshot>>;

/** What of the host stays the same as long as nobody changes it. */
export async function snapshot() {
  const say = async (file: string, ...args: readonly string[]) => (await execa(file, args)).stdout;
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  const settings = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding', 'net.ipv4.conf.all.rp_filter'];
  return {
    interfaces: await say('ip', '-brief', 'link'),
    // Brief: without the seconds that a leased address has left.
    addresses: await say('ip', '-brief', 'address'),
    // A router's announce their end, by the second.
    routes: (await say('ip', 'route', 'show', 'table', 'all')).replaceAll(/ expires \d+sec/g, ''),
    ruleset: await say('nft', '--stateless', 'list', 'ruleset'),
    settings: await say('sysctl', ...settings),
    // Network namespaces come and go with the labs of this host.
    mounts: mounts
      .split('\n')
      .filter((line) => !line.startsWith('nsfs '))
      .join('\n'),
  };
}
