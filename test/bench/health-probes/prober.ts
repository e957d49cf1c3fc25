// Runs in the gateway's namespace, on one core: probes as the agent's thread does, and tells what that took.
import { Monitor, type VerdictChange } from '../../../src/health/monitor.ts';
import { targetKey, targetOf } from '../../../src/health/target.ts';
import type { Verdict } from '../../../src/health/verdict.ts';
import { parseAddress } from '../../../src/resources/address.ts';
import type { Probe } from '../../../src/resources/model.ts';

export interface ProberOrder {
  readonly probe: Omit<Probe, 'name'>;
  readonly targets: number;
  /** Milliseconds of probing that is measured. */
  readonly time: number;
}

export interface ProberAnswer {
  readonly begun: number;
  /** Milliseconds of one core for each. */
  readonly cpu: number;
  /** Milliseconds; the greatest. */
  readonly lateness: number;
  /** Verdicts that changed although nothing has happened, and probes that could not be sent. */
  readonly wrong: number;
  readonly unsent: number;
  /** Bytes. */
  readonly memory: number;
}

/** From here on each target is known to be up: what counts is the steady state. */
const up: Verdict = { state: 'up', reason: 'Up_Probe_Success', detail: '', since: 0, flapping: false };

async function run({ probe, targets, time }: ProberOrder): Promise<ProberAnswer> {
  let begun = 0;
  let lateness = 0;
  let unsent = 0;
  let wrong = 0;
  let measuring = false;
  const monitor = new Monitor({
    changed: (changes: readonly VerdictChange[]) => {
      wrong += changes.length;
    },
    report: (report) => {
      if (!measuring) return;
      begun += report.begun;
      lateness = Math.max(lateness, report.lateness);
      unsent += report.unsent;
    },
  });
  const added = Array.from({ length: targets }, (_, index) => {
    const address = parseAddress(`127.${1 + (index >> 14)}.${(index >> 7) & 127}.${1 + (index & 127)}`);
    if (address === undefined) throw new Error('no address');
    const target = targetOf(address, { ...probe, name: 'bench' });
    return { key: targetKey(target, probe), target, known: up };
  });
  monitor.assign({ removed: [], added });
  await new Promise((resolve) => setTimeout(resolve, probe.interval));
  measuring = true;
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, time));
  const used = process.cpuUsage(before);
  const cpu = (used.user + used.system) / 1_000 / begun;
  const memory = process.memoryUsage().rss;
  monitor.close();
  return { begun, cpu, lateness, wrong, unsent, memory };
}

process.on('message', (order: ProberOrder) => {
  void run(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
