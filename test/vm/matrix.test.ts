import { globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import config from '../../vitest.config.ts';
import { kernels } from './kernels.ts';
import { cells, runMatrix } from './matrix.ts';
import { longForm, shortForm } from './suites.ts';
import { Trouble } from './trouble.ts';

it('runs a suite where all that it needs is promised, and nowhere else', () => {
  const [kernel] = kernels;
  const [suite] = longForm;
  if (kernel === undefined || suite === undefined) throw new Error('The matrix is empty.');
  const poor = { ...kernel, name: 'poor', promises: [] };
  expect(cells([kernel, poor], [suite])).toEqual([{ kernel, suite }]);
});

it('runs both data planes on every kernel, in either form', () => {
  for (const form of [shortForm, longForm]) {
    for (const kernel of kernels) {
      const needs = cells([kernel], form).flatMap(({ suite }) => suite.needs);
      expect(needs).toEqual(expect.arrayContaining(['nftables', 'xdp']));
    }
  }
});

/** The files that a project of vitest.config.ts includes. */
function filesOf(name: string): readonly string[] {
  for (const project of config.test?.projects ?? []) {
    if (typeof project !== 'object' || !('test' in project) || project.test?.name !== name) continue;
    const { include = [], exclude = [] } = project.test;
    return globSync(include, { exclude });
  }
  throw new Error(`vitest.config.ts has no project ${name}.`);
}

it('names files that its projects include: a filter that matches none would silently shrink a suite', () => {
  for (const { name, projects, files } of [...longForm, ...shortForm]) {
    const included = projects.map((project) => ({ project, paths: filesOf(project) }));
    for (const file of files) {
      const found = included.some(({ paths }) => paths.some((path) => path.includes(file)));
      expect(found, `${name}: ${file} in ${projects.join(' or ')}`).toBe(true);
    }
    for (const { project, paths } of included) {
      const found = paths.some((path) => files.some((file) => path.includes(file)));
      expect(found, `${name}: the project ${project}`).toBe(true);
    }
  }
});

const report = JSON.stringify({
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [],
});

/** Ten cells, whose kernels bear their numbers, each with a guest that is only acted. */
async function act(
  guest: (number: number, output: string) => Promise<string | undefined>,
  signal = new AbortController().signal,
) {
  const [kernel] = kernels;
  const [suite] = longForm;
  if (kernel === undefined || suite === undefined) throw new Error('The matrix is empty.');
  const all = Array.from({ length: 10 }, (_, index) => ({ kernel: { ...kernel, name: `${index}` }, suite }));
  return await runMatrix(
    all,
    2,
    () => {},
    signal,
    async ({ kernel: { name }, output = '' }) => ({ status: 0, fault: await guest(Number(name), output) }),
  );
}

it('lets whatever goes wrong with one guest be the outcome of that one', async () => {
  const outcomes = await act(async (number, output) => {
    if (number === 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    if (number === 1) throw new Trouble('The guest panicked.');
    if (number === 2) return undefined;
    await writeFile(join(output, 'report.json'), number === 3 ? report.slice(0, 30) : report);
    return number === 4 ? 'BUG: Bad page state' : undefined;
  });
  expect(outcomes.map(({ kernel }) => kernel)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  expect(outcomes.map(({ failure }) => failure)).toEqual([
    'ENOSPC: no space left on device',
    'The guest panicked.',
    'vitest ended with status 0 and wrote no report',
    expect.stringContaining('report is cut off'),
    'Its kernel says: BUG: Bad page state',
    ...Array(5).fill(undefined),
  ]);
});

it('ends with all guests when it is interrupted', async () => {
  const interrupted = new AbortController();
  let begun = 0;
  const ended = act(async () => {
    begun += 1;
    interrupted.abort();
    throw new Error('aborted');
  }, interrupted.signal);
  await expect(ended).rejects.toThrow('aborted');
  expect(begun).toBeLessThanOrEqual(2);
});
