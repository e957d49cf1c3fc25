import { expect, it } from 'vitest';
import { hasStarted, lastLines, trouble } from './kernel-log.ts';

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

it('tells whether the command was reached', () => {
  expect(hasStarted(start)).toBe(true);
  expect(hasStarted('[    0.0] Linux version\n')).toBe(false);
});

it('gives the last lines, without empty ones', () => {
  expect(lastLines('a\r\n\r\nb\r\nc\r\n', 2)).toBe('b\nc');
  expect(lastLines('', 2)).toBe('');
});
