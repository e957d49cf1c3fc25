// Output for programs: JSON and YAML, whole messages or long lists that are written as they arrive.
import type { Json, JsonObject } from '../file/encode.ts';
import type { Channel } from '../terminal.ts';

export type StructuredFormat = 'json' | 'yaml';

/** Writes one value. */
export async function writeStructured(
  channel: Channel,
  format: StructuredFormat,
  value: Json,
): Promise<void> {
  channel.write(await render(format, value));
}

async function render(format: StructuredFormat, value: Json): Promise<string> {
  switch (format) {
    case 'json':
      return `${JSON.stringify(value, undefined, 2)}\n`;
    case 'yaml': {
      const { stringify } = await import('yaml');
      return stringify(value, { lineWidth: 0 });
    }
  }
}

/** Writes an object with one long list, batch by batch: `{head..., name: [...], tail...}`. */
export class ListWriter {
  readonly #channel: Channel;
  readonly #format: StructuredFormat;
  readonly #name: string;
  #items = 0;

  constructor(channel: Channel, format: StructuredFormat, name: string) {
    this.#channel = channel;
    this.#format = format;
    this.#name = name;
  }

  /** The fields before the list. */
  begin(head: JsonObject): void {
    switch (this.#format) {
      case 'json': {
        const fields = Object.entries(head).map(
          ([key, value]) => `  ${JSON.stringify(key)}: ${nested(value, 2)},\n`,
        );
        this.#channel.write(`{\n${fields.join('')}  ${JSON.stringify(this.#name)}: [`);
        return;
      }
      case 'yaml':
        this.#channel.write(
          Object.entries(head)
            .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
            .join(''),
        );
    }
  }

  async write(items: readonly Json[]): Promise<void> {
    if (items.length === 0) return;
    switch (this.#format) {
      case 'json':
        this.#channel.write(
          items
            .map((item, index) => `${this.#items + index === 0 ? '' : ','}\n    ${nested(item, 4)}`)
            .join(''),
        );
        break;
      case 'yaml':
        this.#channel.write(
          `${this.#items === 0 ? `${this.#name}:\n` : ''}${indent(await render('yaml', items))}`,
        );
    }
    this.#items += items.length;
  }

  /** The fields after the list. */
  async end(tail: JsonObject = {}): Promise<void> {
    switch (this.#format) {
      case 'json': {
        const fields = Object.entries(tail).map(
          ([key, value]) => `,\n  ${JSON.stringify(key)}: ${nested(value, 2)}`,
        );
        this.#channel.write(`${this.#items === 0 ? '' : '\n  '}]${fields.join('')}\n}\n`);
        return;
      }
      case 'yaml': {
        const rest = Object.keys(tail).length === 0 ? '' : await render('yaml', tail);
        this.#channel.write(`${this.#items === 0 ? `${this.#name}: []\n` : ''}${rest}`);
      }
    }
  }
}

function nested(value: Json, by: number): string {
  return JSON.stringify(value, undefined, 2).replaceAll('\n', `\n${' '.repeat(by)}`);
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ');
}
