// The names of `enum reason` of bpf/abi.h, without `REASON_`, by number.
import { readFileSync } from 'node:fs';

const header = readFileSync(new URL('../../../bpf/abi.h', import.meta.url), 'utf8');
const body = /enum reason \{(.*?)\bREASONS\b/s.exec(header)?.[1] ?? '';

export const reasonNames: readonly string[] = [...body.matchAll(/\bREASON_(\w+)/g)].map(
  (match) => match[1] ?? '',
);
