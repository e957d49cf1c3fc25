// Whether one core probes 10,000 machines every five seconds without being late.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Probe } from '../../../src/resources/model.ts';
import { enter } from '../../lab/namespaces.ts';
import type { Bench, BenchContext } from '../bench.ts';
import { type Figure, figure } from '../figures.ts';
import type { ProberAnswer, ProberOrder } from '../health-probes/prober.ts';

const common = { interval: 5_000, timeout: 2_000, threshold: 1, verifyCertificate: false };
const kinds: readonly (Omit<Probe, 'name'> & { readonly targets: number })[] = [
  { ...common, protocol: 'tcp', port: 80, path: '', targets: 10_000 },
  { ...common, protocol: 'http', port: 80, path: '/healthz', targets: 10_000 },
  { ...common, protocol: 'https', port: 443, path: '/healthz', targets: 2_000 },
];

export const healthProbes: Bench = {
  name: 'health-probes',
  summary: 'what probing 10,000 machines every 5 s takes of one core, and how late probes begin',
  run: async (context) => {
    const lab = await context.lab('health', { backends: 0, agent: true });
    const namespace = lab.namespace('gateway');
    // The machines have the other core: what they do is not what is measured.
    await start(context, namespace, 'machines.ts', '1');
    const figures: Figure[] = [];
    for (const { targets: all, ...probe } of kinds) {
      const targets = context.quick ? all / 10 : all;
      context.note(`${targets} targets, ${probe.protocol}`);
      const prober = await start(context, namespace, 'prober.ts', '0');
      const order: ProberOrder = { probe, targets, time: context.quick ? 6_000 : 30_000 };
      prober.send(order);
      const [answer]: readonly ProberAnswer[] = await once(prober, 'message');
      prober.disconnect();
      if (answer !== undefined)
        figures.push(...figuresOf(`${targets} ${probe.protocol} probes every 5 s`, answer, order));
    }
    return figures;
  },
};

function figuresOf(name: string, answer: ProberAnswer, order: ProberOrder): readonly Figure[] {
  const { begun, cpu, lateness, wrong, unsent, memory } = answer;
  const due = (order.targets * order.time) / order.probe.interval;
  return [
    figure(`${name}: of one core`, (cpu * order.targets * 100) / order.probe.interval, '%', {
      target: { atMost: 100 },
      note: `${(cpu * 1_000).toFixed(0)} µs each, ${(memory / 2 ** 20).toFixed(0)} MiB in all`,
    }),
    figure('… begin late by at most', lateness, 'ms', {
      target: { atMost: 500 },
      note: `${begun} of ${due} that were due began while it was measured`,
    }),
    figure('… wrong verdicts, and probes that could not be sent', wrong + unsent, '', {
      target: { atMost: 0 },
    }),
  ];
}

async function start(
  context: BenchContext,
  namespace: string,
  program: string,
  core: string,
): Promise<ChildProcess> {
  const path = join(import.meta.dirname, '../health-probes', program);
  const [file, args] = enter(namespace, ['taskset', '-c', core, process.execPath, path]);
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  context.defer(() => {
    if (child.connected) child.disconnect();
  });
  await once(child, 'message');
  return child;
}
