// Shows figures to people as one table, and keeps them as JSON for comparison.
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, release } from 'node:os';
import { dirname, join } from 'node:path';
import { type Figure, isMet, shown } from './figures.ts';

export interface BenchResult {
  readonly bench: string;
  readonly seconds: number;
  readonly figures: readonly Figure[];
  /** Why the bench broke off. */
  readonly error?: string;
}

const titles = ['bench', 'figure', 'value', 'target', 'met', 'note'];
/** Columns that are aligned to the right. */
const numeric: ReadonlySet<number> = new Set([2, 3]);

/** In Markdown, lined up for reading as it is. */
export function tableOf(results: readonly BenchResult[]): string {
  const rows = results.flatMap(({ bench, figures, error }) => [
    ...figures.map((each) => [bench, ...row(each)]),
    ...(error === undefined ? [] : [[bench, 'broke off', '', '', 'NO', firstLine(error)]]),
  ]);
  const widths = titles.map((_, column) =>
    Math.max(...[titles, ...rows].map((cells) => cells[column]?.length ?? 0)),
  );
  const rule = widths.map((width, column) => `${'-'.repeat(width - 1)}${numeric.has(column) ? ':' : '-'}`);
  return [titles, rule, ...rows]
    .map((cells) => {
      const padded = widths.map((width, column) => {
        const cell = cells[column] ?? '';
        return numeric.has(column) ? cell.padStart(width) : cell.padEnd(width);
      });
      return `| ${padded.join(' | ')} |`;
    })
    .join('\n');
}

/** Writes the results and where they were taken; by default to a file of its own for each run. */
export async function writeResults(results: readonly BenchResult[], file?: string): Promise<string> {
  const taken = new Date();
  const path =
    file ??
    join(import.meta.dirname, 'results', `${taken.toISOString().replaceAll(':', '-').slice(0, 19)}.json`);
  await mkdir(dirname(path), { recursive: true });
  const host = { kernel: release(), cores: availableParallelism(), node: process.version };
  const judged = results.map(({ figures, ...rest }) => ({
    ...rest,
    figures: figures.map((each) => ({ ...each, met: isMet(each) })),
  }));
  await writeFile(path, `${JSON.stringify({ taken, host, results: judged }, null, 2)}\n`);
  return path;
}

function row(figure: Figure): readonly string[] {
  const { name, value, unit, target, note } = figure;
  const limit = target === undefined ? '' : `≤ ${shown(target.atMost)} ${unit}`.trimEnd();
  const meaning = target?.meaning === undefined ? '' : ` (${target.meaning})`;
  const met = isMet(figure);
  const verdict = met === undefined ? '' : met ? 'yes' : 'NO';
  return [name, `${shown(value)} ${unit}`.trimEnd(), limit + meaning, verdict, note ?? ''];
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
