// How the demo looks: headings, indented commands and their output, bars. Colours only on a terminal.
import { styleText } from 'node:util';

const indent = '   ';

export function line(text = ''): void {
  process.stdout.write(`${text}\n`);
}

export function heading(number: number, text: string): void {
  line();
  line(styleText('bold', `${number}  ${text}`));
}

/** A command as a user would type it. */
export function command(text: string): void {
  line(`${indent}${styleText('cyan', `$ ${text}`)}`);
}

/** Lines of output or explanation; of many, the first and a word on the rest. */
export function block(text: string, most = 12): void {
  const lines = text.split('\n').filter((each) => each.trim() !== '');
  const shown = lines.length > most ? lines.slice(0, most - 1) : lines;
  for (const each of shown) line(`${indent}${each}`);
  if (shown.length < lines.length) line(`${indent}... and ${lines.length - shown.length} more`);
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function bar(value: number, most: number): string {
  return '█'.repeat(Math.max(1, Math.round((value / Math.max(1, most)) * 30)));
}

export function good(text: string): string {
  return styleText('green', text);
}

export function bad(text: string): string {
  return styleText(['red', 'bold'], text);
}

export function thousands(value: number): string {
  return value.toLocaleString('en');
}
