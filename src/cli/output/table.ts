// Tables without borders: columns that line up, and lines that other programs can cut.
import type { Channel } from '../terminal.ts';
import { paint } from './colour.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Writes rows as they come; a column gets wider when a later batch needs it, never narrower. */
export class Table {
  readonly #channel: Channel;
  readonly #columns: readonly Column[];
  readonly #widths: number[];
  #rows = 0;

  constructor(channel: Channel, columns: readonly Column[]) {
    this.#channel = channel;
    this.#columns = columns;
    this.#widths = columns.map((column) => column.title.length);
  }

  /** The number of rows so far. */
  get rows(): number {
    return this.#rows;
  }

  /** Writes a batch; the titles come with the first that has rows. */
  write(rows: readonly (readonly string[])[]): void {
    if (rows.length === 0) return;
    for (const row of rows) {
      for (const [index, cell] of row.entries()) {
        this.#widths[index] = Math.max(this.#widths[index] ?? 0, visibleLength(cell));
      }
    }
    const titles = this.#line(this.#columns.map((column) => column.title));
    const head = this.#rows === 0 ? `${paint(this.#channel, 'bold', titles)}\n` : '';
    this.#rows += rows.length;
    this.#channel.write(`${head}${rows.map((row) => this.#line(row)).join('\n')}\n`);
  }

  #line(cells: readonly string[]): string {
    return this.#columns
      .map((column, index) => {
        const cell = cells[index] ?? '';
        const fill = ' '.repeat(Math.max(0, (this.#widths[index] ?? 0) - visibleLength(cell)));
        return column.align === 'right' ? `${fill}${cell}` : `${cell}${fill}`;
      })
      .join('   ')
      .trimEnd();
  }
}

function visibleLength(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins a colour.
  return text.replace(/\x1b\[\d+m/g, '').length;
}
