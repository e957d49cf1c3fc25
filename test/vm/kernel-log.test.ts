import { expect, it } from 'vitest';
import { fault, hasStarted, lastLines, trouble } from './kernel-log.ts';

const start = '[    4.1] penstock-vm: the command starts\r\n';

it.each([
  [
    'a panic, also behind an oops',
    `${start}[9.0] BUG: kernel NULL pointer dereference, address: 0\r\n[9.1] Kernel panic - not syncing: Fatal exception\r\n`,
    'Kernel panic - not syncing: Fatal exception',
  ],
  [
    'a lockup',
    `${start}[30.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [node:12]\r\n`,
    'BUG: soft lockup - CPU#0 stuck for 26s! [node:12]',
  ],
  [
    'a warning with its stack',
    `${start}[8.0] WARNING: CPU: 0 PID: 447 at net/core/dev.c:9453 bpf_xdp_link_release+0x151/0x160\r\n`,
    'WARNING: CPU: 0 PID: 447 at net/core/dev.c:9453 bpf_xdp_link_release+0x151/0x160',
  ],
  [
    'a process too large',
    `${start}[8.0] Out of memory: Killed process 77 (node) total-vm:1kB\n`,
    'Out of memory: Killed process 77 (node) total-vm:1kB',
  ],
  ['a start that failed', '[2.0] penstock-vm: host could not be mounted\r\n', 'host could not be mounted'],
  ['nothing in a quiet log', start, undefined],
  ['nothing in an empty log', '', undefined],
])('finds %s', (_, log, expected) => {
  expect(trouble(log)).toBe(expected);
});

it.each([
  '[9.0] BUG: kernel NULL pointer dereference, address: 0000000000000048',
  '[9.0] BUG: sleeping function called from invalid context at net/core/sock.c:1',
  '[9.0] kernel BUG at net/core/skbuff.c:120!',
  '[9.0] Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI',
  '[9.0] Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]',
  '[9.0] general protection fault: 0000 [#1] SMP',
  '[9.0] BUG: KASAN: slab-use-after-free in nft_do_chain+0x1/0x2',
  '[9.0] UBSAN: array-index-out-of-bounds in net/core/dev.c:1:2',
  '[9.0] WARNING: CPU: 1 PID: 447 at net/core/dev.c:9453 bpf_xdp_link_release+0x151/0x160',
  '[9.0] WARNING: net/core/dev.c:9453 at bpf_xdp_link_release+0x151/0x160, CPU#1: node/447',
  '[9.0] WARNING: suspicious RCU usage',
  '[9.0] Kernel panic - not syncing: Fatal exception',
])('knows as a fault: %s', (line) => {
  expect(line).toContain(fault(`${start}${line}\r\n[9.1] more\r\n`));
  expect(trouble(`${start}${line}\r\n`)).toBeDefined();
});

it.each([
  '[9.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [node:12]',
  '[9.0] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!',
  '[9.0] rcu: INFO: rcu_preempt self-detected stall on CPU',
  '[9.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks: { 0 }',
  '[9.0] WARNING: CPU: 0 PID: 0 at kernel/rcu/tree_stall.h:1 rcu_check_gp_kthread_starvation+0x1/0x2',
  '[9.0] WARNING: CPU: 0 PID: 0 at kernel/time/clockevents.c:38 cev_delta2ns+0x1/0x2',
  '[9.0] INFO: task node:12 blocked for more than 120 seconds.',
  '[9.0] clocksource: Long readout interval, skipping watchdog check: cs_nsec: 1 wd_nsec: 2',
  "[9.0] TSC found unstable after boot, most likely due to broken BIOS. Use 'tsc=unstable'.",
  '[9.0] hrtimer: interrupt took 26374790 ns',
  '[9.0] Out of memory: Killed process 77 (node) total-vm:1kB',
  '[9.0] traps: node[77] general protection fault ip:7f sp:7f error:0 in node[40+1]',
  '[9.0] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible',
])('takes for no fault: %s', (line) => {
  expect(fault(`${start}${line}\r\n`)).toBeUndefined();
});

it('tells whether the command was reached', () => {
  expect(hasStarted(start)).toBe(true);
  expect(hasStarted('[    0.0] Linux version\n')).toBe(false);
});

it('gives the last lines, without empty ones', () => {
  expect(lastLines('a\r\n\r\nb\r\nc\r\n', 2)).toBe('b\nc');
  expect(lastLines('', 2)).toBe('');
});
