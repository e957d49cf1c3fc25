// Whether the host's clock tells the right time, and cheaply.
import { asRoot, type Check, fine, found, unknown } from '../check.ts';

export interface ClockFacts {
  /** Undefined where it cannot be asked. */
  readonly synchronised?: boolean;
  readonly source?: string;
  readonly sources: readonly string[];
}

/** Read by the CPU itself, without a device. */
const fast = [
  'tsc',
  'kvm-clock',
  'hyperv_clocksource_tsc_page',
  'arch_sys_counter',
  'riscv_clocksource',
  'timebase',
  'tod',
];

export function judgeClock({ synchronised, source, sources }: ClockFacts, xdp: boolean): readonly Check[] {
  return [judgeTime(synchronised), ...(source === undefined || !xdp ? [] : [judgeSource(source, sources)])];
}

function judgeTime(synchronised: boolean | undefined): Check {
  const code = 'CLOCK_UNSYNCHRONISED';
  if (synchronised === undefined) {
    return unknown(code, '', { reason: 'the state of the clock cannot be asked', remedy: asRoot });
  }
  if (synchronised) return fine(code, '', 'the clock is synchronised');
  return found(code, '', 'nobody keeps the clock of this host right', 'apt-get install chrony');
}

function judgeSource(source: string, sources: readonly string[]): Check {
  const code = 'CLOCKSOURCE_SLOW';
  if (fast.includes(source)) return fine(code, '', `the clock source is ${source}`);
  const better = fast.find((name) => sources.includes(name));
  const remedy =
    better === undefined
      ? 'let the machine have a TSC that is stable (hypervisor, firmware)'
      : `echo ${better} >/sys/devices/system/clocksource/clocksource0/current_clocksource`;
  return found(code, '', `the clock source is ${source}`, remedy);
}
