// Which flows of the gateway under test take the fast path, and what they carried, as conntrack tells it.
import { execa } from 'execa';
import { expect } from 'vitest';
import type { Gateway } from '../../../../src/dataplane/nftables/testing/gateway.ts';
import type { Endpoint, Entry } from '../../../../src/forwarding/table.ts';

interface TrackedFlow {
  /** Where it was sent to: address, protocol and port. */
  readonly to: string;
  /** In the flowtable. */
  readonly fast: boolean;
  /** Of TCP, such as `ESTABLISHED`; empty for UDP, and for TCP in the flowtable. */
  readonly state: string;
  /** Both directions, on whatever path; 0 where conntrack does not count. */
  readonly packets: number;
}

/** The flows to an endpoint. */
export async function flowsTo(at: Endpoint): Promise<readonly TrackedFlow[]> {
  return (await allFlows()).filter(({ to }) => to === nameOf(at));
}

async function allFlows(): Promise<readonly TrackedFlow[]> {
  const { stdout } = await execa('sh', ['-c', 'conntrack -L -f ipv4; conntrack -L -f ipv6']);
  return stdout.split('\n').flatMap((line) => {
    const [, transport, address, port] = /^(\w+) .*? dst=(\S+) sport=\d+ dport=(\d+) /.exec(line) ?? [];
    if (transport === undefined) return [];
    return {
      to: `${address} ${transport} ${port}`,
      fast: line.includes('[OFFLOAD]'),
      state: /^tcp +\d+ +\d+ ([A-Z_\d]+) /.exec(line)?.[1] ?? '',
      packets: [...line.matchAll(/ packets=(\d+) /g)].reduce((sum, [, packets]) => sum + Number(packets), 0),
    };
  });
}

/** A flow that ought to become fast; `key` is that of the client's connection, where nobody talks through it already. */
export interface Awaited {
  readonly at: Endpoint;
  readonly key?: string;
}

/** Talks, and lets the plane do what it does every second, until all flows to these endpoints take the fast path. */
export async function untilFast({ lab, plane }: Gateway, ...awaited: readonly Awaited[]): Promise<void> {
  await expect
    .poll(
      async () => {
        expect((await plane.verify()).kind).toBe('intact');
        for (const { key } of awaited) if (key !== undefined) await lab.client.ask(key);
        const flows = await allFlows();
        return awaited.every(({ at }) => {
          const there = flows.filter(({ to }) => to === nameOf(at));
          return there.length > 0 && there.every(({ fast }) => fast);
        });
      },
      { timeout: 60_000, interval: 200 },
    )
    .toBe(true);
}

/** Packets that the guard has let pass for a mapping: those of the way through all rules. */
export async function slowPackets({ plane }: Gateway, entry: Entry): Promise<number> {
  return (await plane.counters([entry])).get(entry)?.packets ?? 0;
}

function nameOf({ address, transport, port }: Endpoint): string {
  return `${address} ${transport} ${port}`;
}
