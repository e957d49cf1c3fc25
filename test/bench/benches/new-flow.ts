// What a new flow costs on its way through the gateway, against the kernel's floor and other shapes of ruleset.
import type { Lab } from '../../lab/lab.ts';
import type { Bench, BenchContext } from '../bench.ts';
import { chunksOf, tenants } from '../declaration.ts';
import { type Figure, figure, shown } from '../figures.ts';
import { BenchGateway } from '../gateway.ts';
import { Contender, type Way } from '../new-flow/contender.ts';
import { chainPerService, natWays, oneMap, plainWays, ruleEach, trackOnly } from '../new-flow/rulesets.ts';

interface Sizes {
  readonly flows: number;
  readonly rounds: number;
  readonly few: number;
  readonly many: number;
  /** For the shapes that do not carry more in reasonable time. */
  readonly services: number;
}

export const newFlow: Bench = {
  name: 'new-flow',
  summary: 'nanoseconds per new UDP flow, and per packet of an established one, by ruleset',
  run: async (context) => {
    const sizes: Sizes = context.quick
      ? { flows: 2_000, rounds: 3, few: 10, many: 2_000, services: 100 }
      : { flows: 20_000, rounds: 7, few: 10, many: 100_000, services: 1_000 };
    const contenders = await raise(context, sizes);
    const newFlows = await alternate(sizes.rounds, contenders, (each) => each.newFlows(sizes.flows));
    context.note('established flows');
    const tracked = contenders.filter(({ name }) => name !== 'plain forwarding');
    const one = await alternate(sizes.rounds, tracked, (each) => each.established(1, sizes.flows));
    const thousand = await alternate(sizes.rounds, tracked, (each) => each.established(1_000, sizes.flows));
    return [
      ...newFlowFigures(newFlows, sizes),
      ...establishedFigures(one, 'packet of 1 flow'),
      ...establishedFigures(thousand, 'packet of 1,000 flows'),
    ];
  },
};

async function raise(context: BenchContext, sizes: Sizes): Promise<readonly Contender[]> {
  const { few, many, services, flows } = sizes;
  const contenders: Contender[] = [];
  const ruled = async (
    name: string,
    short: string,
    ways: readonly Way[],
    load?: (lab: Lab) => Promise<unknown>,
  ): Promise<void> => {
    context.note(`raising: ${name}`);
    const lab = await context.lab(short, { backends: 1 });
    await load?.(lab);
    contenders.push(await Contender.prepare(context, name, lab, ways, flows));
  };
  const nft = (input: string) => (lab: Lab) => lab.exec('gateway', ['nft', '-f', '-'], { input });

  await ruled('plain forwarding', 'plain', plainWays(many));
  await ruled('conntrack only', 'floor', plainWays(many), nft(trackOnly));
  for (const size of [few, many]) {
    const name = penstock(size);
    context.note(`raising: ${name}`);
    const gateway = await BenchGateway.up(context, `penstock-${size}`, { backends: 1 });
    await gateway.client.replaceAll(chunksOf(tenants(size)));
    const ways = await waysOf(gateway);
    // The kernel forwards by itself; the agent's checks would only disturb the measurement.
    await gateway.lab.stopAgent();
    contenders.push(await Contender.prepare(context, name, gateway.lab, ways, flows));
  }
  await ruled(`one map, ${shown(many)}`, 'map', natWays(many), nft(oneMap(natWays(many))));
  await ruled(
    `chain per service, ${shown(services)}`,
    'chains',
    natWays(services),
    nft(chainPerService(natWays(services))),
  );
  await ruled(`iptables-nft, ${shown(services)}`, 'iptables', natWays(services), (lab) =>
    lab.exec('gateway', ['iptables-nft-restore'], { input: ruleEach(natWays(services)) }),
  );
  return contenders;
}

/** Where the agent says that each frontend port leads. */
async function waysOf({ client }: BenchGateway): Promise<readonly Way[]> {
  const ways: Way[] = [];
  for await (const { mappings } of client.listPortMappings({ skipCounters: true })) {
    for (const { frontendAddress, frontendPort, backendAddress, backendPort } of mappings) {
      ways.push({
        address: frontendAddress,
        port: frontendPort,
        machine: backendAddress,
        machinePort: backendPort,
      });
    }
  }
  return ways;
}

/** Rounds alternate between the contenders, so that all see the same weather; the first round only warms up. */
async function alternate(
  rounds: number,
  contenders: readonly Contender[],
  measure: (contender: Contender) => Promise<number>,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const samples = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const contender of contenders) {
      const nanoseconds = await measure(contender);
      if (round > 0) samples.get(contender.name)?.push(nanoseconds);
    }
  }
  return samples;
}

/** Of the rounds, the one that was disturbed least: whatever else the machine does can only add. */
function least(rounds: readonly number[]): number {
  return Math.min(...rounds);
}

function newFlowFigures(samples: ReadonlyMap<string, readonly number[]>, sizes: Sizes): readonly Figure[] {
  const whole = (name: string): number => least(samples.get(name) ?? []);
  const baseline = whole('plain forwarding');
  const net = (name: string): number => whole(name) - baseline;
  const floor = net('conntrack only');
  const figures = [...samples].map(([name, values]) =>
    name === 'plain forwarding'
      ? figure(`new flow, ${name}`, baseline, 'ns', { note: `baseline; ${range(values)}` })
      : figure(`new flow, ${name}`, net(name), 'ns', {
          note: `beyond the baseline: ${shown(net(name) / floor)} × conntrack only; ${range(values)}`,
        }),
  );
  const [many, few] = [net(penstock(sizes.many)), net(penstock(sizes.few))];
  const [map, chains] = [
    net(`one map, ${shown(sizes.many)}`),
    net(`chain per service, ${shown(sizes.services)}`),
  ];
  return [
    ...figures,
    figure(`new flow, Penstock ${shown(sizes.many)} / ${sizes.few}`, many / few, '', {
      target: { atMost: 1.3 },
      note: 'both beyond the baseline',
    }),
    figure(
      `new flow with its forwarding, Penstock ${shown(sizes.many)} / ${sizes.few}`,
      whole(penstock(sizes.many)) / whole(penstock(sizes.few)),
      '',
    ),
    figure(`new flow, Penstock / one map, ${shown(sizes.many)} each`, many / map, ''),
    figure(`new flow, Penstock ${shown(sizes.many)} / chain per service`, many / chains, ''),
  ];
}

function establishedFigures(
  samples: ReadonlyMap<string, readonly number[]>,
  what: string,
): readonly Figure[] {
  const floor = least(samples.get('conntrack only') ?? []);
  return [...samples].map(([name, values]) =>
    figure(`${what}, ${name}`, least(values), 'ns', {
      note: `${shown(least(values) / floor)} × conntrack only; ${range(values)}`,
    }),
  );
}

function penstock(mappings: number): string {
  return `Penstock, ${shown(mappings)}`;
}

function range(values: readonly number[]): string {
  return `${values.length} rounds: ${shown(Math.min(...values))} to ${shown(Math.max(...values))}`;
}
