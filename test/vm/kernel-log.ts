// Reads a guest's kernel log for what went wrong.

/** Written by guest/start.sh. */
const started = 'penstock-vm: the command starts';
/** Written by guest/init.sh when it cannot go on. */
const gaveUp = /penstock-vm: (.+)/;

/**
 * What only a fault makes the kernel say, the gravest first. No stalls: an emulated machine on a busy host has those as
 * well, and its clocks complain. Nor what is said of processes, or without a stack of calls.
 */
const faults: readonly RegExp[] = [
  /Kernel panic - not syncing: .+/,
  /BUG: (?!\w+ lockup).+/,
  /kernel BUG at .+/,
  /Oops: .+/,
  /general protection fault[,:] .+/,
  /\b(?:UB|KA|KC|KM)SAN: .+/,
  /WARNING: (?:CPU: \d+ PID: \d+ at )?(?!kernel\/time\/|kernel\/rcu\/tree_stall|arch\/x86\/kernel\/tsc)\S+:\d+ .+/,
  /WARNING: (?:possible|suspicious|inconsistent) .+/,
];

/** The kernel's own words for its troubles, the gravest first. */
const troubles: readonly RegExp[] = [
  ...faults,
  /Out of memory: Killed process .+/,
  /BUG: \w+ lockup .+/,
  /rcu: .*detected stalls? .+/,
  /INFO: task .+ blocked for more than .+/,
];

export function hasStarted(log: string): boolean {
  return log.includes(started);
}

/** The line that says best what went wrong, or undefined when there is none. */
export function trouble(log: string): string | undefined {
  return find(log, troubles) ?? (hasStarted(log) ? undefined : log.match(gaveUp)?.[1]?.trim());
}

/** What is wrong with a kernel even when all went well above it, or undefined. */
export function fault(log: string): string | undefined {
  return find(log, faults);
}

function find(log: string, patterns: readonly RegExp[]): string | undefined {
  for (const pattern of patterns) {
    const match = log.match(pattern);
    if (match !== null) return match[0].trim();
  }
  return undefined;
}

export function lastLines(log: string, count: number): string {
  return log
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .slice(-count)
    .join('\n');
}
