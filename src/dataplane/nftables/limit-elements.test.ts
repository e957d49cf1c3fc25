import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import type { ClientRange } from '../../resources/client-range.ts';
import { type Element, jsonCommands, type Operation, textCommands } from './element.ts';
import { limitElements, limitOperations } from './limit-elements.ts';

const text = ({ set, key, statement = '' }: Element): string => `${set} ${key.join('.')} ${statement}`.trim();

const limit: FlowLimit = {
  number: 7,
  family: 4,
  allowed: ['10.0.0.0/8', '192.0.2.0/24'] as readonly string[] as readonly ClientRange[],
  newFlows: { perSecond: 10, burst: 20 },
  concurrentFlows: 5,
};

/** As the kernel does it: adding what is there, or deleting what is not, fails. */
function carryOut(state: Map<string, string>, operations: Iterable<Operation>): void {
  for (const { verb, element } of operations) {
    const key = `${element.set} ${element.key.join('.')}`;
    if (verb === 'delete' ? !state.delete(key) : state.has(key)) throw new Error(`${verb} ${key}`);
    if (verb === 'add') state.set(key, text(element));
  }
}

const limits: fc.Arbitrary<FlowLimit> = fc
  .record({
    ranges: fc.uniqueArray(fc.constantFrom('10.0.0.0/8', '192.0.2.0/24', '198.51.100.0/24')),
    v6: fc.boolean(),
    perSecond: fc.nat(2),
    burst: fc.constantFrom(1, 2),
    concurrent: fc.nat(2),
  })
  .map(({ ranges, v6, perSecond, burst, concurrent }) => ({
    number: 7,
    family: v6 ? (6 as const) : (4 as const),
    allowed: (v6
      ? ranges.map((_, at) => `fd00:${at}::/32`)
      : ranges) as readonly string[] as readonly ClientRange[],
    ...(perSecond > 0 && { newFlows: { perSecond, burst } }),
    ...(concurrent > 0 && { concurrentFlows: concurrent }),
  }));

describe('limitElements', () => {
  it('are counters, ranges, and elements that keep count by themselves', () => {
    expect([...limitElements(limit)].map(text)).toEqual([
      'refused_client 7',
      'refused_rate 7',
      'refused_concurrent 7',
      'restricted 7',
      'allowed4_7 7.10.0.0.0/8',
      'allowed4_7 7.192.0.2.0/24',
      'rate 7 limit rate over 10/second burst 20 packets',
      'concurrent 7 ct count over 5',
    ]);
  });

  it('are said in text, because nft would leave their statements out of JSON without a word', () => {
    const add = [...limitElements(limit)].map((element) => ({ verb: 'add', element }) as const);
    const said = [...textCommands(add)].join('');
    expect(said).toContain(
      'add element inet penstock rate { 7 limit rate over 10/second burst 20 packets }\n',
    );
    expect(said).toContain('add element inet penstock allowed4_7 { 7 . 10.0.0.0/8, 7 . 192.0.2.0/24 }\n');
    expect(() => [...jsonCommands(add)]).toThrow('limit rate over 10/second');
    const remove = add.map(({ element }) => ({ verb: 'delete', element }) as const);
    expect([...textCommands(remove)].join('')).toContain('delete element inet penstock rate { 7 }\n');
  });
});

describe('ranges in text', () => {
  it('stand in commands that nft tells the kernel in one netlink attribute', () => {
    const allowed = Array.from({ length: 1_000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24`);
    const many = [7, 39].flatMap((number) => [
      ...limitElements({
        number,
        family: 4,
        allowed: allowed as readonly string[] as readonly ClientRange[],
      }),
    ]);
    const ranged = many.filter(({ set }) => set === 'allowed4_7');
    const said = [...textCommands(ranged.map((element) => ({ verb: 'add', element })))].join('');
    const commands = said.trim().split('\n');
    expect(commands.map((command) => command.match(/ \. /g)?.length)).toEqual([500, 500, 500, 500]);
  });
});

describe('limitOperations', () => {
  it('lead from any limit to any other', () => {
    fc.assert(
      fc.property(limits, limits, (before, after) => {
        const state = new Map<string, string>();
        carryOut(state, limitOperations({ after: before }));
        carryOut(state, limitOperations({ before, after }));
        const wanted = new Map<string, string>();
        carryOut(wanted, limitOperations({ after }));
        expect(new Map([...state].toSorted())).toEqual(new Map([...wanted].toSorted()));
        carryOut(state, limitOperations({ before: after }));
        expect(state.size).toBe(0);
      }),
    );
  });

  it('leave alone what stays: its counters, tokens and flows', () => {
    const operations = limitOperations({
      before: limit,
      after: { ...limit, allowed: limit.allowed.slice(1) },
    });
    expect([...operations].map(({ verb, element }) => `${verb} ${text(element)}`)).toEqual([
      'delete allowed4_7 7.10.0.0.0/8',
    ]);
  });
});
