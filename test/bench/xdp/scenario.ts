// What is measured: packets of one kind through one or several programs. All scenarios take turns, round by round.
import type { XdpAction } from '../../../src/dataplane/xdp/kernel/test-run.ts';
import { shown } from '../figures.ts';
import type { Frame } from './frame.ts';
import { nothing, type Wrapper } from './wrapper.ts';

export interface Contender {
  readonly name: string;
  /** What `Wrapper.add` said. */
  readonly program: number;
  /** How many packets it has sent on so far; absent where it does not count. */
  readonly counted?: () => number;
}

export interface Scenario {
  readonly name: string;
  readonly frame: Frame;
  /** As of `encodeFlows`. */
  readonly flows: Uint8Array;
  /** Where packets come in. */
  readonly device: number;
  readonly contenders: readonly Contender[];
  /** What must become of each packet. */
  readonly verdict: XdpAction;
  /** Of each run. */
  readonly packets: number;
  /** Before each run. */
  readonly prepare?: () => void;
  /** Packets of a run that may be handed up, as a share of all. Default 0. */
  readonly handedUp?: number;
}

export interface Timing {
  /** Nanoseconds per packet, the program alone: the least of the rounds, less the wrapper's least. */
  readonly net: number;
  readonly note: string;
}

export type Timings = ReadonlyMap<string, ReadonlyMap<string, Timing>>;

/** By scenario, then by contender. The first round only warms up, and is where wrong verdicts show. */
export function timeAll(wrapper: Wrapper, scenarios: readonly Scenario[], rounds: number): Timings {
  const samples = new Map(scenarios.map((scenario) => [scenario, new Map<string, number[]>()]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const scenario of scenarios) {
      const runs = timeOnce(wrapper, scenario);
      if (round === 0) continue;
      for (const [name, duration] of runs) push(samples.get(scenario), name, duration);
    }
  }
  return new Map(
    scenarios.map((scenario) => {
      const runs = samples.get(scenario) ?? new Map<string, readonly number[]>();
      return [scenario.name, new Map(scenario.contenders.map(({ name }) => [name, timing(runs, name)]))];
    }),
  );
}

const wrapperAlone = '';

function timeOnce(wrapper: Wrapper, scenario: Scenario): ReadonlyMap<string, number> {
  const { frame, flows, device, packets, prepare } = scenario;
  const list = (): void => wrapper.list(frame, flows, device);
  list();
  const durations = new Map([[wrapperAlone, wrapper.run(packets, nothing).duration]]);
  for (const contender of scenario.contenders) {
    prepare?.();
    if (prepare !== undefined) list();
    wrapper.rewind();
    const before = contender.counted?.() ?? 0;
    const { duration, verdict } = wrapper.run(packets, contender.program);
    const sent = (contender.counted?.() ?? 0) - before;
    if (verdict !== scenario.verdict) {
      throw new Error(`${scenario.name}: ${contender.name} answers ${verdict}, not ${scenario.verdict}`);
    }
    const least = packets * (1 - (scenario.handedUp ?? 0));
    if (contender.counted !== undefined && sent < least) {
      throw new Error(`${scenario.name}: ${contender.name} has sent on ${sent} of ${packets} packets`);
    }
    durations.set(contender.name, duration);
  }
  return durations;
}

function push(runs: Map<string, number[]> | undefined, name: string, duration: number): void {
  const known = runs?.get(name);
  if (known === undefined) runs?.set(name, [duration]);
  else known.push(duration);
}

function timing(runs: ReadonlyMap<string, readonly number[]>, name: string): Timing {
  const own = runs.get(name) ?? [];
  const alone = Math.min(...(runs.get(wrapperAlone) ?? []));
  const [least, most] = [Math.min(...own), Math.max(...own)];
  return {
    net: least - alone,
    note: `${own.length} rounds: ${shown(least)} to ${shown(most)}, wrapper ${shown(alone)}`,
  };
}
