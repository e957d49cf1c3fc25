// Every row of the packet tables through the program, with next hops asked for and remembered, in one buffer and in several.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differences } from './frame/dissect.ts';
import { encode } from './frame/encode.ts';
import { tables } from './rows/all.ts';
import { reasonNames } from './rows/reasons.ts';
import type { Outcome, Row, Sent } from './rows/row.ts';
import { Gateway } from './world/gateway.ts';

const actions = { pass: 'XDP_PASS', redirect: 'XDP_REDIRECT', transmit: 'XDP_TX' } as const;

let gateway: Gateway;

beforeAll(async () => {
  gateway = await Gateway.open();
});
afterAll(() => {
  gateway?.close();
});

for (const [name, rows] of Object.entries(tables)) {
  describe(name, () => {
    it.each(rows.map((row) => [row.name, row] as const))('%s', async (_, row) => {
      for (const program of ['penstock', 'penstock_frags']) {
        await gateway.reset(false);
        await run(row, program, `${program}, next hop asked for`);
        await gateway.reset(true);
        await run(row, program, `${program}, next hop to be remembered`);
        gateway.forget();
        await gateway.restore();
        await run(row, program, `${program}, next hop remembered`);
      }
    });
  });
}

it('has enough rows, each with a name of its own', () => {
  const names = Object.entries(tables).flatMap(([table, rows]) => rows.map((row) => `${table}: ${row.name}`));
  expect(names.length).toBeGreaterThan(300);
  expect(new Set(names).size).toBe(names.length);
});

async function run(row: Row, program: string, how: string): Promise<void> {
  const earlier: Uint8Array[] = [];
  for (const step of row.before ?? []) {
    const frame = await gateway.take(step, program);
    if (frame !== undefined) earlier.push(frame);
  }
  const sent = typeof row.frame === 'function' ? row.frame(earlier) : row.frame;
  compare(sent, row, program, how);
  // What is known by now may take a shorter way through the program.
  compare(sent, row, program, `${how}, once more`);
}

function compare(sent: Sent, row: Row, program: string, how: string): void {
  const before = gateway.reasons();
  const { verdict, frame } = gateway.send(sent, program);
  const after = gateway.reasons();
  const expected = row.becomes(sent, frame);
  const wrong = [
    verdict === actions[expected.verdict] ? '' : `${verdict} instead of ${actions[expected.verdict]}`,
    differences(frame, encode(expected.packet)),
    miscounted(
      expected,
      reasonNames.filter((_, index) => after[index] !== before[index]),
    ),
  ].filter((problem) => problem !== '');
  if (wrong.length > 0) throw new Error([`${how}:`, ...wrong].join('\n'));
}

/** May be counted besides, and are no reason for handing a packet up. */
const events = ['FORWARDED', 'TRANSMITTED', 'FLOW_DISPLACED', 'REPORTED'];

/** What was counted otherwise than the row says, if it says something about it. */
function miscounted({ verdict, reason }: Outcome, counted: readonly string[]): string {
  const reasons = counted.filter((each) => !events.includes(each));
  if (verdict !== 'pass') return reasons.length === 0 ? '' : `counted ${reasons.join(' and ')}`;
  if (reason === undefined || (reason === null ? counted.length === 0 : reasons.includes(reason))) return '';
  return `counted ${counted.join(' and ') || 'nothing'} instead of ${reason ?? 'nothing'}`;
}
