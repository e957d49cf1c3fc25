// What machines begin themselves: from which ports it comes, how it ends, and what is left as it is. Needs root.
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import type { OutboundChange } from '../../forwarding/change.ts';
import { endOfOutbound } from '../../forwarding/endings.ts';
import type { LiveFlow } from '../live-flow.ts';
import { gatewayUnderTest, pause } from './testing/gateway.ts';
import { address, endpoint, nat, outbound, table, unchanged } from './testing/tables.ts';

const gateway = gatewayUnderTest(3);
const families = [
  {
    name: 'IPv4',
    front: '203.0.113.1',
    client: '10.0.0.2',
    machine: (number: number) => `10.1.0.${number}`,
  },
  { name: 'IPv6', front: '2001:db8:f::1', client: 'fd00::2', machine: (number: number) => `fd01::${number}` },
] as const;
type Family = (typeof families)[number];

const both = ['tcp', 'udp'] as const;

/** Blocks of eight from 40,000 on, of both protocols, for these machines. */
const blocks = ({ front, machine }: Family, ...numbers: readonly number[]) =>
  numbers.flatMap((number) =>
    both.map((transport) =>
      outbound(machine(number), transport, front, 40_000 + number * 8, 40_007 + number * 8),
    ),
  );

async function commit(...changes: readonly OutboundChange[]): Promise<void> {
  await gateway.plane.commit(
    { ...unchanged, outbound: changes, ending: changes.flatMap(endOfOutbound) },
    gateway.stamp(),
  );
}

/** The machine, counted from 1. */
function host(number: number) {
  const found = gateway.lab.machines[number - 1];
  if (found === undefined) throw new Error('no such machine');
  return found;
}

/** Whom the client saw. */
async function seen(number: number, key: string): Promise<{ readonly from: string; readonly port: number }> {
  const { peer } = await host(number).ask(key);
  const slash = peer.lastIndexOf('/');
  return { from: peer.slice(0, slash), port: Number(peer.slice(slash + 1)) };
}

async function outwards(): Promise<readonly LiveFlow[]> {
  const { flows } = await gateway.plane.flows({
    wanted: ({ direction }) => direction === 'outbound',
    most: 1_000,
  });
  return flows;
}

let nextPort = 6_100;

/** The client answers at a port of its own for each test. */
async function listening({ client }: Family): Promise<number> {
  nextPort += 1;
  for (const transport of both) await gateway.lab.client.listen(transport, client, nextPort);
  return nextPort;
}

describe.each(families)('outbound flows, $name', (family) => {
  const { front, client, machine } = family;

  it('come from the ports of their machine, and so do their answers back', async () => {
    const port = await listening(family);
    await gateway.plane.load(table([], [], blocks(family, 1, 2)), gateway.stamp());
    for (const number of [1, 2]) {
      for (const transport of both) {
        for (let count = 0; count < 4; count += 1) {
          const key = `${transport}-${port}-${count}`;
          await host(number).connect(key, transport, client, port);
          const { from, port: source } = await seen(number, key);
          expect(from).toBe(front);
          expect(source).toBeGreaterThanOrEqual(40_000 + number * 8);
          expect(source).toBeLessThanOrEqual(40_007 + number * 8);
        }
      }
    }
    await host(3).connect(`none-${port}`, 'tcp', client, port);
    expect((await seen(3, `none-${port}`)).from).toBe(machine(3));
    const flows = await outwards();
    expect(flows.filter(({ transport }) => transport === 'tcp')).toHaveLength(8);
    expect(flows[0]).toMatchObject({ peer: { address: client, port }, frontend: { address: front } });
    for (const number of [1, 2])
      for (const transport of both)
        for (let count = 0; count < 4; count += 1) await host(number).close(`${transport}-${port}-${count}`);
  });

  it('use each port once towards a destination, and anew towards the next', async () => {
    const [one, two] = [await listening(family), await listening(family)];
    await gateway.plane.load(table([], [], blocks(family, 1)), gateway.stamp());
    const ports = new Map<number, Set<number>>();
    for (const port of [one, two]) {
      const sources = new Set<number>();
      for (let count = 0; count < 8; count += 1) {
        await host(1).connect(`full-${port}-${count}`, 'tcp', client, port);
        sources.add((await seen(1, `full-${port}-${count}`)).port);
      }
      ports.set(port, sources);
    }
    expect([...ports.values()].map(({ size }) => size)).toEqual([8, 8]);
    await expect(host(1).connect('ninth', 'tcp', client, one)).rejects.toThrow();
    // Over UDP the same ports are others.
    await host(1).connect('datagram', 'udp', client, one);
    expect((await seen(1, 'datagram')).from).toBe(front);
  });

  it('are as they are between machines, and to the gateway itself', async () => {
    await gateway.plane.load(
      table(
        [
          nat(endpoint(front, 'tcp', 80), machine(3), 8080),
          nat(endpoint(front, 'tcp', 81), machine(1), 8080),
        ],
        [],
        blocks(family, 1, 2),
      ),
      gateway.stamp(),
    );
    const { gateway: itself } = gateway.lab;
    const own = family.name === 'IPv4' ? '10.1.0.254' : 'fd01::fe';
    nextPort += 1;
    await itself.listen('tcp', own, nextPort);
    await host(1).connect('gateway', 'tcp', own, nextPort);
    expect((await seen(1, 'gateway')).from).toBe(machine(1));
    // Through a frontend: that is not outbound, and masqueraded as ever.
    await host(1).connect('hairpin', 'tcp', front, 80);
    expect((await host(1).ask('hairpin')).name).toBe('m3:8080');
    expect(await outwards()).toEqual([]);
  });

  it('end when their block goes, UDP that keeps sending too, and only those', async () => {
    const port = await listening(family);
    await gateway.plane.load(table([], [], blocks(family, 1, 2)), gateway.stamp());
    for (const number of [1, 2]) {
      await host(number).connect(`end-${number}`, 'tcp', client, port);
      expect((await seen(number, `end-${number}`)).from).toBe(front);
      await host(number).send(`send-${number}`, client, port);
    }
    await commit(...blocks(family, 1).map((before) => ({ before })));
    const left = new Set((await outwards()).map((flow) => flow.machine.address));
    expect(left).toEqual(new Set([machine(2)]));
    await expect(host(1).ask('end-1')).rejects.toThrow();
    expect((await seen(2, 'end-2')).from).toBe(front);
    await pause(50);
    expect(new Set((await outwards()).map((flow) => flow.machine.address))).toEqual(new Set([machine(2)]));
    await host(1).rest();
    await host(2).rest();
  });

  it('end on the ports that a block loses, and go on on the others', async () => {
    const port = await listening(family);
    await gateway.plane.load(table([], [], blocks(family, 1)), gateway.stamp());
    for (let count = 0; count < 8; count += 1) await host(1).connect(`half-${count}`, 'tcp', client, port);
    const sources = new Map<number, string>();
    for (let count = 0; count < 8; count += 1)
      sources.set((await seen(1, `half-${count}`)).port, `half-${count}`);
    await commit(
      ...blocks(family, 1).map((before) => ({ before, after: { ...before, last: before.last - 4 } })),
    );
    for (const [source, key] of sources) {
      if (source <= 40_011) expect((await seen(1, key)).port).toBe(source);
      else await expect(host(1).ask(key)).rejects.toThrow();
    }
    // Wider again, and where its first port was: nobody notices.
    const smaller = blocks(family, 1).map((before) => ({ ...before, last: before.last - 4 }));
    await commit(...smaller.map((before) => ({ before, after: { ...before, last: before.last + 4 } })));
    for (const [source, key] of sources) if (source <= 40_011) expect((await seen(1, key)).port).toBe(source);
  });

  it('move to another block with their next packet, where UDP keeps sending', async () => {
    const port = await listening(family);
    await gateway.plane.load(table([], [], blocks(family, 1)), gateway.stamp());
    await host(1).send('moving', client, port);
    await expect.poll(async () => (await outwards())[0]?.frontend.port).toBeLessThanOrEqual(40_015);
    await commit(
      ...blocks(family, 1).map((before) => ({ before, after: { ...before, first: 50_000, last: 50_007 } })),
    );
    await expect.poll(async () => (await outwards())[0]?.frontend.port).toBeGreaterThanOrEqual(50_000);
    await host(1).rest();
  });

  it('that went untranslated without an answer get their source when the entry comes', async () => {
    await gateway.plane.load(table([]), gateway.stamp());
    // Nobody listens there, and nothing comes back: as from a network that does not know the machine.
    await host(1).send('early', client, 5_999);
    await pause(50);
    await commit(...blocks(family, 1).map((after) => ({ after })));
    // Of connections that were cut before, their ends send once more what was not acknowledged: flows as well.
    const early = async () => (await outwards()).filter(({ peer }) => peer.port === 5_999);
    await expect
      .poll(async () => (await early()).map((flow) => flow.frontend.address))
      .toEqual([address(front)]);
    await host(1).rest();
  });

  it('go on over a load, and those that the table has no more end', async () => {
    const port = await listening(family);
    await gateway.plane.load(table([], [], blocks(family, 1, 2)), gateway.stamp());
    for (const number of [1, 2]) {
      await host(number).connect(`load-${number}`, 'tcp', client, port);
      expect((await seen(number, `load-${number}`)).from).toBe(front);
    }
    await gateway.plane.load(table([], [], blocks(family, 1)), gateway.stamp());
    expect((await seen(1, 'load-1')).from).toBe(front);
    await expect(host(2).ask('load-2')).rejects.toThrow();
    await expect
      .poll(async () => new Set((await outwards()).map((flow) => flow.machine.address)))
      .toEqual(new Set([machine(1)]));
    expect(await gateway.plane.verify()).toEqual({ kind: 'intact' });
    // In the place of a table of another shape, which is replaced as a whole.
    await execa('nft', ['insert', 'rule', 'inet', 'penstock', 'prerouting', 'counter']);
    expect((await gateway.plane.verify()).kind).toBe('damaged');
    await gateway.plane.load(table([], [], blocks(family, 1, 2)), gateway.stamp());
    expect(await gateway.plane.verify()).toEqual({ kind: 'intact' });
    expect((await seen(1, 'load-1')).from).toBe(front);
    await host(2).connect('load-again', 'tcp', client, port);
    expect((await seen(2, 'load-again')).from).toBe(front);
  });
});
