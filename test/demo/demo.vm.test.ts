// The demo where there is no KVM: in a guest, for real and emulated.
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { execa } from 'execa';
import { expect, it } from 'vitest';
import { leavesTheHostAlone } from '../vm/testing/host.ts';

const demo = join(import.meta.dirname, '../../scripts/demo');
/** Milliseconds; more than the guest is given. */
const patience = 2_400_000;

leavesTheHostAlone();

it('shows in a guest that every request is answered by the right machine', {
  timeout: patience,
}, async () => {
  const { all, exitCode, stdout } = await execa(demo, ['--vm=guest', '--machines', '2'], {
    all: true,
    reject: false,
  });
  expect(exitCode, all).toBe(0);
  const last = stripVTControlCharacters(stdout).trimEnd().split('\n').at(-1);
  expect(last).toMatch(/^[\d,]+ requests sent, .*, 0 by a wrong one, 0 lost$/);
});
