import { describe, expect, it } from 'vitest';
import { jsonCommands, type Operation, textCommands } from './element.ts';

const add = (
  set: string,
  key: readonly (string | number)[],
  value?: Operation['element']['value'],
): Operation => ({
  verb: 'add',
  element: { set, key, ...(value && { value }) },
});

const operations: readonly Operation[] = [
  { verb: 'delete', element: { set: 'nat4', key: ['203.0.113.1', 6, 500], value: ['10.0.0.1', 80] } },
  add('nat4', ['203.0.113.1', 6, 500], ['10.0.0.2', 80]),
  add('nat4', ['203.0.113.1', 6, 501], ['10.0.0.2', 81]),
  add('backends4', ['10.0.0.2']),
  add('ring_hash4', [7], { jump: 'five_tuple_1021_4' }),
];

describe('jsonCommands', () => {
  it('groups neighbours, keeps the order, and deletes by key alone', () => {
    const json = JSON.parse(`[${[...jsonCommands(operations)].join('')}]`);
    const element = (name: string, elem: unknown) => ({
      element: { family: 'inet', table: 'penstock', name, elem },
    });
    expect(json).toEqual([
      { delete: element('nat4', [{ concat: ['203.0.113.1', 6, 500] }]) },
      {
        add: element('nat4', [
          [{ concat: ['203.0.113.1', 6, 500] }, { concat: ['10.0.0.2', 80] }],
          [{ concat: ['203.0.113.1', 6, 501] }, { concat: ['10.0.0.2', 81] }],
        ]),
      },
      { add: element('backends4', ['10.0.0.2']) },
      { add: element('ring_hash4', [[7, { jump: { target: 'five_tuple_1021_4' } }]]) },
    ]);
  });

  it('writes a range of ports, where a value has one', () => {
    const ranged = add('outbound_source4', ['10.0.0.1', 6], ['203.0.113.1', { first: 8, last: 15 }]);
    expect([...jsonCommands([ranged])].join('')).toContain(
      '[{"concat":["10.0.0.1",6]},{"concat":["203.0.113.1",{"range":[8,15]}]}]',
    );
    expect([...textCommands([ranged])].join('')).toContain('{ 10.0.0.1 . 6 : 203.0.113.1 . 8-15 }');
  });

  it('says nothing for nothing', () => {
    expect([...jsonCommands([])]).toEqual([]);
    expect([...textCommands([])]).toEqual([]);
  });

  it('starts a new command after 5,000 elements', () => {
    const many = Array.from({ length: 12_000 }, (_, slot) => add('ring4', [1, slot], ['10.0.0.1']));
    const json = JSON.parse(`[${[...jsonCommands(many)].join('')}]`);
    expect(
      json.map((command: { add: { element: { elem: unknown[] } } }) => command.add.element.elem.length),
    ).toEqual([5000, 5000, 2000]);
  });
});

describe('textCommands', () => {
  it('says the same as text', () => {
    expect([...textCommands(operations)].join('')).toBe(
      [
        'delete element inet penstock nat4 { 203.0.113.1 . 6 . 500 }',
        'add element inet penstock nat4 { 203.0.113.1 . 6 . 500 : 10.0.0.2 . 80, 203.0.113.1 . 6 . 501 : 10.0.0.2 . 81 }',
        'add element inet penstock backends4 { 10.0.0.2 }',
        'add element inet penstock ring_hash4 { 7 : jump five_tuple_1021_4 }',
        '',
      ].join('\n'),
    );
  });
});
