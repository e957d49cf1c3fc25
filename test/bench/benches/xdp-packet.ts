// What a packet costs in Penstock's XDP program, beside plain programs with the kernel's hash maps.
import { loadProgram } from '../../../src/dataplane/xdp/kernel/load.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import type { Transport } from '../../../src/resources/address.ts';
import type { Bench, BenchContext } from '../bench.ts';
import { type Figure, figure, shown, type Target } from '../figures.ts';
import { compileProgram } from '../xdp/compile.ts';
import { flowBytes, tcpFlag } from '../xdp/frame.ts';
import { Machinery } from '../xdp/machinery.ts';
import { type Contender, type Scenario, type Timings, timeAll } from '../xdp/scenario.ts';
import { raiseStage, type Stage } from '../xdp/stage.ts';
import { adding, balanced, mappings } from '../xdp/tables.ts';
import { flowsBack, flowsIn, flowsToPool, foreignFlows, frameFrom, hotFlows } from '../xdp/traffic.ts';
import { Wrapper } from '../xdp/wrapper.ts';
import { fillPlain } from '../xdp/yardsticks.ts';

interface Sizes {
  readonly rounds: number;
  readonly packets: number;
  readonly few: number;
  readonly some: number;
  readonly many: number;
  readonly most: number;
}

const members = 1000;

/** One flow through each mapping of the working set: what fits into the processor's first cache, and what does not. */
const hot = 100;
const warm = 1000;

/** So many fit into the flow table that an agent makes unasked, of 262,144 flows. */
const newFlows = 200_000;

export const xdpPacket: Bench = {
  name: 'xdp-packet',
  summary: 'nanoseconds per packet in the XDP program, by what it does and how many there are',
  run: async (context) => {
    const sizes: Sizes = context.quick
      ? { rounds: 2, packets: 100_000, few: 10, some: 1_000, many: 10_000, most: 20_000 }
      : // The least of nine still differs by a fifth between two copies of one program, that of sixty by a fiftieth.
        { rounds: 27, packets: 1_000_000, few: 10, some: 1_000, many: 100_000, most: 1_000_000 };
    const stage = await raiseStage(context, 'xdp');
    const wrapper = context.use(
      await Wrapper.load(await compileProgram(context, 'wrapper.bpf'), stage.namespace, stage.wan.ifindex),
    );
    const scenarios = await allScenarios(context, stage, wrapper, sizes);
    context.note(`${scenarios.length} scenarios, ${sizes.rounds} rounds`);
    return figuresOf(timeAll(wrapper, scenarios, sizes.rounds), sizes);
  },
};

async function allScenarios(
  context: BenchContext,
  stage: Stage,
  wrapper: Wrapper,
  sizes: Sizes,
): Promise<readonly Scenario[]> {
  const { few, some, many, most, packets } = sizes;
  const contender = (name: string, machinery: Machinery): Contender => ({
    name,
    program: wrapper.add(machinery.file),
    counted: () => machinery.counted,
  });
  const penstock = async (count: number, hops: boolean, ...transports: Transport[]): Promise<Contender> => {
    context.note(`loading ${shown(count)} mappings`);
    const table = adding(transports.flatMap((transport) => mappings(count, transport)));
    const { devices, routes } = stage;
    return contender(
      'Penstock',
      context.use(await Machinery.load(table, { devices, ...(hops && { routes }) })),
    );
  };
  const [ten, thousand, large, largest] = [
    await penstock(few, true, 'tcp'),
    await penstock(some, true, 'tcp', 'udp'),
    await penstock(many, true, 'tcp'),
    await penstock(most, true, 'tcp'),
  ];
  const asking = await penstock(some, false, 'tcp');
  const yardsticks = await plainPrograms(context, wrapper, most);
  const [usual, roomy] = [await balancing(context, stage), await balancing(context, stage, most * 2)];

  const inward: Omit<Scenario, 'name' | 'flows' | 'contenders'> = {
    frame: frameFrom(stage, 'in'),
    device: stage.wan.ifindex,
    verdict: 'XDP_REDIRECT',
    packets,
  };
  const udp = { ...inward, frame: frameFrom(stage, 'in', { protocol: 'udp' }) };
  const back = { ...inward, frame: frameFrom(stage, 'back'), device: stage.lan.ifindex };
  const syn = { ...inward, frame: frameFrom(stage, 'in', { tcpFlags: tcpFlag.syn }) };
  const known = (pool: Machinery, flows: Uint8Array): Omit<Scenario, 'name'> => {
    const pooled = contender('Penstock', pool);
    const prepare = (): void => {
      pool.forgetFlows();
      wrapper.list(syn.frame, flows, stage.wan.ifindex);
      wrapper.run(flows.length / flowBytes, pooled.program);
    };
    return { ...inward, flows, contenders: [pooled], prepare, handedUp: 0.01 };
  };
  const begun = (pool: Machinery, flows: number): Omit<Scenario, 'name'> => {
    const prepare = (): void => pool.forgetFlows();
    const contenders = [contender('Penstock', pool)];
    return { ...syn, flows: flowsToPool(flows), contenders, packets: flows, prepare, handedUp: 0.01 };
  };

  return [
    ...[1, some, many, most].map((flows) => ({
      ...inward,
      name: names.flows(flows),
      flows: flowsIn(flows, some),
      contenders: [thousand],
    })),
    ...[1, most].map((flows) => ({
      ...udp,
      name: names.udpFlows(flows),
      flows: flowsIn(flows, some),
      contenders: [thousand],
    })),
    ...[ten, thousand, large, largest].flatMap((program, at) =>
      [hot, warm].map((set) => ({
        ...inward,
        name: names.hot(set, [few, some, many, most][at] ?? 0),
        flows: hotFlows([few, some, many, most][at] ?? 0, set),
        contenders: [program],
      })),
    ),
    { ...inward, name: names.random(most), flows: flowsIn(most, most), contenders: [largest, ...yardsticks] },
    { ...inward, name: names.yardsticks, flows: flowsIn(some, some), contenders: yardsticks },
    { ...back, name: names.back('FIB'), flows: flowsBack(some), contenders: [asking] },
    { ...back, name: names.back('next hop known'), flows: flowsBack(some), contenders: [thousand] },
    { ...inward, name: names.inwardFib, flows: flowsIn(some, some), contenders: [asking] },
    { ...known(usual, flowsToPool(some)), name: names.known(some) },
    { ...known(roomy, flowsToPool(most)), name: names.known(most) },
    { ...begun(usual, newFlows), name: names.newFlow },
    { ...begun(roomy, most), name: names.newFlowRoomy },
    {
      ...inward,
      name: names.notOurs,
      flows: foreignFlows(some),
      contenders: [{ ...thousand, counted: () => Number.POSITIVE_INFINITY }],
      verdict: 'XDP_PASS',
    },
  ];
}

const names = {
  flows: (flows: number) => `NAT inward, ${shown(flows)} flows`,
  udpFlows: (flows: number) => `NAT inward, UDP, ${shown(flows)} flows`,
  hot: (set: number, mapped: number) => `NAT inward, ${shown(set)} flows among ${shown(mapped)} mappings`,
  random: (mapped: number) => `NAT inward, random over ${shown(mapped)} mappings`,
  yardsticks: 'NAT inward, 1,000 flows, for comparison',
  inwardFib: 'NAT inward, FIB',
  back: (hop: string) => `way back, ${hop}`,
  known: (flows: number) => `balanced, known flow of ${shown(flows)}`,
  newFlow: 'balanced, new flow',
  newFlowRoomy: 'balanced, new flow, table eight times as large',
  notOurs: 'not ours',
} as const;

async function plainPrograms(
  context: BenchContext,
  wrapper: Wrapper,
  count: number,
): Promise<readonly Contender[]> {
  const object = await compileProgram(context, 'plain.bpf');
  const shape = { mappings: count, versions: count };
  const program: LoadedProgram = await loadProgram({ object, shape, settings: {} });
  context.defer(() => program.close());
  context.note('filling the kernel’s hash maps');
  fillPlain(program, count);
  return [
    { name: 'plain hash', program: wrapper.add(program.programFile('plain')) },
    { name: 'versioned hash', program: wrapper.add(program.programFile('versioned')) },
  ];
}

/** With room for so many flows; default as the agent's. */
async function balancing(
  context: BenchContext,
  { devices, routes }: Stage,
  flows?: number,
): Promise<Machinery> {
  const { entry, ring } = balanced(members, 'tcp');
  return context.use(
    await Machinery.load(adding([entry], [ring]), { devices, routes, ...(flows && { flows }) }),
  );
}

function figuresOf(timings: Timings, { few, some, many, most }: Sizes): readonly Figure[] {
  const net = (scenario: string, contender = 'Penstock'): number =>
    timings.get(scenario)?.get(contender)?.net ?? Number.NaN;
  const cost = (scenario: string, atMost?: number): Figure =>
    figure(scenario, net(scenario), 'ns', {
      note: timings.get(scenario)?.get('Penstock')?.note ?? '',
      ...(atMost !== undefined && { target: { atMost } }),
    });
  const ratio = (name: string, over: number, under: number, target?: Target): Figure =>
    figure(name, over / under, '', target && { target });
  const yardstick = (scenario: string, contender: string): Figure =>
    figure(`${scenario}: ${contender}`, net(scenario, contender), 'ns', {
      note: timings.get(scenario)?.get(contender)?.note ?? '',
    });
  const flat: Target = { atMost: 1.3 };
  return [
    ...[1, some, many, most].map((flows) => cost(names.flows(flows), 60)),
    ratio(`NAT inward, ${shown(most)} flows / 1`, net(names.flows(most)), net(names.flows(1)), flat),
    ...[1, most].map((flows) => cost(names.udpFlows(flows), 60)),
    ratio(
      `NAT inward, UDP, ${shown(most)} flows / 1`,
      net(names.udpFlows(most)),
      net(names.udpFlows(1)),
      flat,
    ),
    ...[few, some, many, most].map((mapped) => cost(names.hot(hot, mapped), 60)),
    ratio(
      `NAT inward, ${shown(hot)} flows among ${shown(most)} mappings / ${few}`,
      net(names.hot(hot, most)),
      net(names.hot(hot, few)),
      flat,
    ),
    ...[few, some, many, most].map((mapped) => cost(names.hot(warm, mapped))),
    cost(names.random(most)),
    yardstick(names.random(most), 'plain hash'),
    yardstick(names.random(most), 'versioned hash'),
    ratio(
      'NAT inward, random, Penstock / plain hash',
      net(names.random(most)),
      net(names.random(most), 'plain hash'),
      { atMost: 1.1 },
    ),
    yardstick(names.yardsticks, 'plain hash'),
    yardstick(names.yardsticks, 'versioned hash'),
    cost(names.inwardFib),
    cost(names.back('FIB'), 170),
    cost(names.back('next hop known'), 80),
    cost(names.known(some), 100),
    cost(names.known(most), 300),
    cost(names.newFlow, 450),
    cost(names.newFlowRoomy),
    cost(names.notOurs, 20),
  ];
}
