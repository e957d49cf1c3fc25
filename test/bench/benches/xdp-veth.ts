// How many packets a second one core forwards over veth, through XDP and through nftables, in the same run.
import type { Bench } from '../bench.ts';
import { type Figure, figure, shown } from '../figures.ts';
import { compileProgram } from '../xdp/compile.ts';
import { type Plane, type Sink, VethPlane } from '../xdp/veth.ts';

const mappings = 1000;
const sinks: readonly Sink[] = ['packet', 'frame'];

interface Sample {
  readonly plane: Plane;
  readonly sink: Sink;
  readonly rounds: number[];
}

export const xdpVeth: Bench = {
  name: 'xdp-veth',
  summary: 'packets per second over veth through XDP and through nftables',
  run: async (context) => {
    const [packets, rounds] = context.quick ? [50_000, 2] : [1_000_000, 7];
    const wrapper = await compileProgram(context, 'wrapper.bpf');
    const planes = [
      await VethPlane.raise(context, 'nftables', wrapper, mappings, mappings),
      await VethPlane.raise(context, 'xdp', wrapper, mappings, mappings),
    ];
    const samples = planes.flatMap(({ plane }) => sinks.map((sink): Sample => ({ plane, sink, rounds: [] })));
    for (let round = 0; round < rounds; round += 1) {
      for (const sample of samples) {
        const plane = planes.find((each) => each.plane === sample.plane);
        if (plane !== undefined) sample.rounds.push(await plane.send(packets, sample.sink));
      }
    }
    return sinks.flatMap((sink) => figuresOf(samples, sink));
  },
};

function figuresOf(samples: readonly Sample[], sink: Sink): readonly Figure[] {
  const rate = (plane: Plane): Figure => {
    const { rounds } = samples.find((each) => each.plane === plane && each.sink === sink) ?? { rounds: [] };
    const least = Math.min(...rounds);
    const note = `${rounds.length} rounds: ${shown(least)} to ${shown(Math.max(...rounds))} ns a packet`;
    return figure(`${plane}, ${sinkNames[sink]}`, 1e3 / least, 'Mpps', { note });
  };
  const [nftables, xdp] = [rate('nftables'), rate('xdp')];
  return [
    nftables,
    xdp,
    figure(`nftables / XDP, ${sinkNames[sink]}`, nftables.value / xdp.value, '', {
      target: { atMost: 0.5, meaning: 'twice as many' },
      note: `${shown(xdp.value / nftables.value)} × as many packets`,
    }),
  ];
}

const sinkNames: Readonly<Record<Sink, string>> = {
  packet: 'received by the kernel',
  frame: 'received as frames',
};
