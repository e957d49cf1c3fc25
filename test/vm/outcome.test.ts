import { expect, it } from 'vitest';
import { countReport, reasonToFail, table, withoutReport } from './outcome.ts';
import { longForm } from './suites.ts';

const report = {
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [{ status: 'passed', assertionResults: [{}, {}, {}] }],
};

it.each([
  ['all passed', report, 0, undefined],
  ['one failed', { ...report, numFailedTests: 1 }, 1, '1 failed'],
  [
    'a file that could not be loaded',
    { ...report, testResults: [{ status: 'failed', assertionResults: [] }] },
    1,
    '1 failed',
  ],
  ['one skipped', { ...report, numPendingTests: 1 }, 0, '1 skipped: in a guest nothing is'],
  ['one to do', { ...report, numTodoTests: 1 }, 0, '1 skipped: in a guest nothing is'],
  ['none at all', { ...report, numPassedTests: 0, testResults: [] }, 0, 'no test ran'],
  ['an error outside of the tests', report, 1, 'vitest ended with status 1'],
])('judges %s', (_, given, status, expected) => {
  expect(reasonToFail(status, countReport(JSON.stringify(given)), undefined)).toBe(expected);
});

it('judges a kernel that complains while all tests pass', () => {
  const counts = countReport(JSON.stringify(report));
  expect(reasonToFail(0, counts, 'BUG: Bad page state')).toBe('Its kernel says: BUG: Bad page state');
  expect(reasonToFail(1, { ...counts, failed: 2 }, 'BUG: Bad page state')).toBe('2 failed');
});

it('says of a report that ends too early what it is', () => {
  expect(() => countReport('{"numPassedTests": 3')).toThrow(/report is cut off/);
});

it('counts a guest without a report as one failure', () => {
  const [suite] = longForm;
  if (suite === undefined) throw new Error('There is no suite.');
  const outcome = withoutReport('6.1', suite, 12.3, 'The guest panicked.\nMore.');
  expect(outcome).toMatchObject({ passed: 0, failed: 1 });
  expect(table([outcome]).split('\n')).toEqual([
    'kernel  suite     passed  failed  skipped  seconds',
    '6.1     nftables       0       1        0       12  The guest panicked.',
  ]);
});
