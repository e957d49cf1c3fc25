import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StoreFailed } from '../store/store.ts';
import { flushHost } from './flush.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'penstock-flush-'));
});
afterEach(() => {
  rmSync(parent, { recursive: true, force: true });
});

it('refuses a state directory that no agent has used, and makes none', async () => {
  const stateDirectory = join(parent, 'mistyped');
  const flushed = flushHost({ stateDirectory });
  await expect(flushed).rejects.toBeInstanceOf(StoreFailed);
  expect(existsSync(stateDirectory)).toBe(false);
});
