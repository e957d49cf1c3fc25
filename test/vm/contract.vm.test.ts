// What a command finds in a guest, and what comes back: one guest, looked at from all sides.
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { leavesTheHostAlone } from './testing/host.ts';
import { vm } from './testing/runner.ts';

leavesTheHostAlone();

const words = ["it's", 'two\nlines', '$HOME `id` \\', '', '"'];
const mark = `penstock-vm-test-${process.pid}`;
const checkout = new URL('../..', import.meta.url).pathname;
/** Sections, each begun by a line `== name`. */
const script = `
section() { echo "== $1"; }
section words; printf '%s\\0' "$@"; echo
section where; pwd; id -u
section kernel; uname -r; echo "$PENSTOCK_VM"; ls /lib/modules
section clock; date +%s
section mounts; for at in bpf cgroup; do findmnt -no FSTYPE /sys/fs/$at; done; findmnt -no FSTYPE /sys/kernel/tracing; cat /sys/class/net/lo/operstate
section cards; for n in 0 1 2 3 4; do cat /sys/class/net/eth$n/address; done; ls /sys/class/net
section wires
for pair in "0 1" "2 3"; do
  set -- $pair; ip netns add far; ip link set eth$2 netns far
  ip addr add 10.9.$1.1/24 dev eth$1; ip link set eth$1 up
  ip -n far addr add 10.9.$1.2/24 dev eth$2; ip -n far link set eth$2 up
  timeout 20 bash -c "</dev/tcp/10.9.$1.2/1" 2>&1 | grep -q refused && echo "eth$1 reaches eth$2"; ip -n far link set eth$2 netns 1; ip netns del far
done
section writes
touch ~/${mark} ${checkout}${mark} /usr/${mark} && echo written; echo kept >"$PENSTOCK_VM_OUTPUT/file"
section stderr; echo to-stderr >/dev/stderr; echo again >&2
section much; head -c 1000000 /dev/zero | tr '\\0' x
echo; exit 37
`;

let result: Awaited<ReturnType<typeof vm>>;
let sections: Map<string, string>;
let directory: string;
let begin: number;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-output-'));
  begin = Date.now();
  const run = ['run', '--kernel', '6.12', '--nics', '5', '--cpus', '2', '--output', join(directory, 'made')];
  result = await vm([...run, '--', 'bash', '-c', script, 'bash', ...words], { cwd: checkout });
  sections = new Map(
    result.stdout
      .split(/^== /m)
      .slice(1)
      .map((text) => [text.slice(0, text.indexOf('\n')), text.slice(text.indexOf('\n') + 1)]),
  );
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

function lines(section: string): readonly string[] {
  return (sections.get(section) ?? '').split('\n').slice(0, -1);
}

it('brings back the exit status, and keeps the kernel log of a command that failed', async () => {
  expect(result.exitCode, result.stderr).toBe(37);
  const log = result.stderr.match(/kernel log: (.+)/)?.[1] ?? '';
  expect(await readFile(log, 'utf8')).toContain('the command starts');
});

it('brings back a megabyte of output unharmed', () => {
  expect(sections.get('much')).toBe(`${'x'.repeat(1_000_000)}\n`);
});

it('keeps standard error apart', () => {
  expect(result.stderr).toContain('to-stderr\nagain\n');
  expect(result.stdout).not.toContain('to-stderr');
});

it('hands over arguments with quotes, spaces and newlines', () => {
  expect((sections.get('words') ?? '').split('\0').slice(0, -1)).toEqual(words);
});

it('runs as root in the directory where it was called, under the chosen kernel with its modules', () => {
  expect(lines('where')).toEqual([checkout.replace(/\/$/, ''), '0']);
  const [release, name, ...modules] = lines('kernel');
  expect(release).toMatch(/^6\.12\./);
  expect(name).toBe('6.12');
  expect(modules).toContain(release);
});

it('has the right time', () => {
  const [seconds] = lines('clock').map(Number);
  // The clock of a machine at power-on has whole seconds.
  expect(seconds).toBeGreaterThanOrEqual(Math.floor(begin / 1000) - 1);
  expect(seconds).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000) + 1);
});

it('has the file systems that Penstock needs, and a loopback', () => {
  expect(lines('mounts')).toEqual(['bpf', 'cgroup2', 'tracefs', 'unknown']);
});

it('has the network cards that were asked for, wired in pairs', () => {
  const [first, second, third, fourth, fifth, ...names] = lines('cards');
  expect([first, second, third, fourth, fifth]).toEqual([1, 2, 3, 4, 5].map((n) => `52:54:00:00:00:0${n}`));
  expect(names).toEqual(['eth0', 'eth1', 'eth2', 'eth3', 'eth4', 'lo']);
  expect(lines('wires')).toEqual(['eth0 reaches eth1', 'eth2 reaches eth3']);
});

it('writes nothing to the host but to the directory that was given', async () => {
  expect(lines('writes')).toEqual(['written']);
  for (const path of [homedir(), checkout, '/usr']) {
    await expect(access(join(path, mark))).rejects.toThrow('ENOENT');
  }
  expect(await readdir(join(directory, 'made'))).toEqual(['file']);
  expect(await readFile(join(directory, 'made/file'), 'utf8')).toBe('kept\n');
});

it('leaves nothing behind', () => {
  expect(result.leftovers).toEqual([]);
});
