import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { keepLog } from './logs.ts';

let directory: string;
let log: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-logs-'));
  log = join(directory, 'kernel.log');
  await writeFile(log, 'words');
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

it('keeps the last fifty', async () => {
  const logs = join(directory, 'cache/logs');
  const first = await keepLog(log, '6.1', logs);
  if (!('file' in first)) throw new Error(first.reason);
  expect(await readFile(first.file, 'utf8')).toBe('words');
  for (let number = 0; number < 60; number += 1) await writeFile(join(logs, `1970-${number}`), '');
  const last = await keepLog(log, '6.12', logs);
  expect(await readdir(logs)).toHaveLength(50);
  expect(last).toMatchObject({ file: expect.stringMatching(/-6\.12-\d+\.log$/) });
});

it.each([
  ['there is none yet', 'none.log', 'logs', 'ENOENT'],
  ['a file is where its directory would be', 'kernel.log', 'kernel.log/logs', 'ENOTDIR'],
])('says why it kept none when %s', async (_, name, place, reason) => {
  const kept = await keepLog(join(directory, name), '6.1', join(directory, place));
  expect(kept).toEqual({ reason: expect.stringContaining(reason) });
});

it('says why it kept none when no directory can be made', async () => {
  expect(await keepLog(log, '6.1', '/proc/none/logs')).toEqual({ reason: expect.stringContaining('ENOENT') });
});
