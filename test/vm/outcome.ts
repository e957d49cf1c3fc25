// What came of a suite in a guest, judged from vitest's report.
import type { Suite } from './suites.ts';
import { Trouble } from './trouble.ts';

export interface Outcome {
  readonly kernel: string;
  readonly suite: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** Why it counts as failed, or undefined when it passed. */
  readonly failure: string | undefined;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The members of vitest's JSON report that are read here. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

/** A file that cannot even be loaded counts as one test that failed. */
export function countReport(json: string): Counts {
  const report = parse(json);
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function parse(json: string): Report {
  try {
    return JSON.parse(json);
  } catch {
    throw new Trouble("vitest's report is cut off: was there room for it in the temporary directory?");
  }
}

/** Why these counts are no success: nothing but passed tests is one, and at least one of them, on a sound kernel. */
export function reasonToFail(status: number, counts: Counts, fault: string | undefined): string | undefined {
  if (counts.failed > 0) return `${counts.failed} failed`;
  if (counts.skipped > 0) return `${counts.skipped} skipped: in a guest nothing is`;
  if (counts.passed === 0) return 'no test ran';
  if (status !== 0) return `vitest ended with status ${status}`;
  if (fault !== undefined) return `Its kernel says: ${fault}`;
  return undefined;
}

/** A guest that brought no report counts as one failure, so that no sum hides it. */
export function withoutReport(kernel: string, suite: Suite, seconds: number, failure: string): Outcome {
  return { kernel, suite: suite.name, passed: 0, failed: 1, skipped: 0, seconds, failure };
}

export function table(outcomes: readonly Outcome[]): string {
  const head = ['kernel', 'suite', 'passed', 'failed', 'skipped', 'seconds', ''];
  const rows = outcomes.map((one) => [
    one.kernel,
    one.suite,
    ...[one.passed, one.failed, one.skipped, Math.round(one.seconds)].map(String),
    one.failure?.split('\n')[0] ?? 'ok',
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) =>
          column > 1 && column < 6 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
