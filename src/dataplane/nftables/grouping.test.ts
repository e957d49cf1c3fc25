import { describe, expect, it } from 'vitest';
import type { Operation } from './element.ts';
import { grouped } from './grouping.ts';

const operation = (verb: Operation['verb'], set: string, key: number): Operation => ({
  verb,
  element: { set, key: [key] },
});

describe('grouped', () => {
  it('puts operations on one set side by side, deletions first', () => {
    const operations = [
      operation('add', 'a', 1),
      operation('add', 'b', 1),
      operation('delete', 'a', 2),
      operation('add', 'a', 2),
    ];
    expect([...grouped(operations)]).toEqual([operations[2], operations[0], operations[3], operations[1]]);
  });

  it('loses none of a long list, and adds no key before it is deleted', () => {
    const numbers = Array.from({ length: 12_345 }, (_, index) => index);
    const operations = [
      ...numbers.flatMap((key) => [operation('delete', 'a', key), operation('delete', 'b', key)]),
      ...numbers.flatMap((key) => [operation('add', 'a', key), operation('add', 'b', key)]),
    ];
    const result = [...grouped(operations)];
    expect(result).toHaveLength(operations.length);
    expect(new Set(result).size).toBe(operations.length);
    const deleted = new Set<string>();
    const early = result.filter(({ verb, element }) => {
      const name = `${element.set} ${element.key[0]}`;
      if (verb === 'delete') deleted.add(name);
      return !deleted.has(name);
    });
    expect(early).toEqual([]);
  });
});
