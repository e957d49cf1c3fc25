// Differences as people read them: `-` what the gateway has, `+` what the file says.
import type { Json } from '../file/encode.ts';
import { paint } from '../output/colour.ts';
import { plainText } from '../output/format.ts';
import type { Channel } from '../terminal.ts';
import type { Difference } from './differences.ts';
import { isList, isObject } from './normal-form.ts';

/** How the file's load balancer stands to the gateway's of that name. */
export interface Comparison {
  readonly loadBalancer: string;
  readonly kind: 'same' | 'changed' | 'new' | 'gone';
  readonly differences: readonly Difference[];
}

export function writeComparison(out: Channel, comparison: Comparison): void {
  const name = plainText(comparison.loadBalancer);
  switch (comparison.kind) {
    case 'same':
      return;
    case 'new':
      out.write(`${paint(out, 'green', `+ ${name}: not on the gateway yet`)}\n`);
      return;
    case 'gone':
      out.write(`${paint(out, 'red', `- ${name}: not in the file`)}\n`);
      return;
    case 'changed':
      out.write(`${paint(out, 'bold', name)}\n`);
      for (const { path, before, after } of comparison.differences) {
        if (before !== undefined) out.write(`${paint(out, 'red', `- ${line(path, before)}`)}\n`);
        if (after !== undefined) out.write(`${paint(out, 'green', `+ ${line(path, after)}`)}\n`);
      }
  }
}

function line(path: string, value: Json): string {
  return plainText(`${path}: ${inline(value)}`);
}

function inline(value: Json): string {
  if (isList(value)) return `[${value.map(inline).join(', ')}]`;
  if (isObject(value)) {
    return `{ ${Object.entries(value)
      .map(([key, inner]) => `${key}: ${inline(inner)}`)
      .join(', ')} }`;
  }
  return String(value);
}
