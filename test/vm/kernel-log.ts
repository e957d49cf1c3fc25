// Reads a guest's kernel log for what went wrong.

/** Written by guest/start.sh. */
const started = 'penstock-vm: the command starts';
/** Written by guest/init.sh when it cannot go on. */
const gaveUp = /penstock-vm: (.+)/;

/** The kernel's own words for its troubles, the gravest first. */
const troubles: readonly RegExp[] = [
  /Kernel panic - not syncing: .+/,
  /BUG: .+/,
  /Oops: .+/,
  /Out of memory: Killed process .+/,
  /watchdog: BUG: soft lockup .+/,
  /rcu: .*detected stalls? .+/,
  /INFO: task .+ blocked for more than .+/,
];

export function hasStarted(log: string): boolean {
  return log.includes(started);
}

/** The line that says best what went wrong, or undefined when there is none. */
export function trouble(log: string): string | undefined {
  for (const pattern of troubles) {
    const match = log.match(pattern);
    if (match !== null) return match[0].trim();
  }
  return hasStarted(log) ? undefined : log.match(gaveUp)?.[1]?.trim();
}

export function lastLines(log: string, count: number): string {
  return log
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .slice(-count)
    .join('\n');
}
