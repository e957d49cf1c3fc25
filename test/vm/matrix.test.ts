import { existsSync, globSync } from 'node:fs';
import { expect, it } from 'vitest';
import { kernels } from './kernels.ts';
import { cells } from './matrix.ts';
import { longForm, shortForm } from './suites.ts';

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

it('names files that exist: a filter that matches none would silently shrink a suite', () => {
  for (const { name, files } of [...longForm, ...shortForm]) {
    for (const file of files) {
      const found = existsSync(file) || globSync(`${file}*`).length > 0;
      expect(found, `${name}: ${file}`).toBe(true);
    }
  }
});
