import { execa } from 'execa';
import { expect, it } from 'vitest';
import { commandScript, quote } from './command.ts';

it('keeps every argument as it is, in a real shell', async () => {
  const words = ["it's", 'a b', 'two\nlines', '$HOME `id` \\', '', '-n', '"', 'ü'];
  const { stdout } = await execa('bash', ['-c', `printf '%s\\0' ${words.map(quote).join(' ')}`], {
    stripFinalNewline: false,
  });
  expect(stdout.split('\0').slice(0, -1)).toEqual(words);
});

it('tells the command which kernel it is under and where it may write, and runs it where we are', async () => {
  const script = commandScript('6.1', ['sh', '-c', 'echo "$PENSTOCK_VM $PENSTOCK_VM_OUTPUT $PWD"; exit 5']);
  const { stdout, exitCode } = await execa('bash', ['-c', script], { reject: false });
  expect(stdout).toBe(`6.1 /vm-output ${process.cwd()}`);
  expect(exitCode).toBe(5);
});

it('ends with 127 when there is no such command', async () => {
  const { stderr, exitCode } = await execa('bash', ['-c', commandScript('6.1', ['no-such-command'])], {
    reject: false,
  });
  expect(stderr).toContain('no-such-command: not found');
  expect(exitCode).toBe(127);
});
