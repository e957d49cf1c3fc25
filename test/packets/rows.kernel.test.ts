// Every row of the packet tables through the program, with next hops asked for and remembered, in one buffer and in several.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differences } from './frame/dissect.ts';
import { encode } from './frame/encode.ts';
import { balancing } from './rows/balanced.ts';
import { errors } from './rows/errors.ts';
import { fragments } from './rows/fragments.ts';
import { direct, natBack } from './rows/nat-back.ts';
import { checksums, hops, natInward } from './rows/nat-inward.ts';
import { reasonNames } from './rows/reasons.ts';
import type { Outcome, Row } from './rows/row.ts';
import { tracked } from './rows/tracked.ts';
import { strangers, vlans } from './rows/wires.ts';
import { Gateway } from './world/gateway.ts';

const tables: Readonly<Record<string, readonly Row[]>> = {
  'NAT, inward': natInward,
  checksums,
  'what may go on, and where to': hops,
  'NAT, way back': natBack,
  'past the frontend': direct,
  VLANs: vlans,
  'not ours': strangers,
  fragments,
  'ICMP errors': errors,
  balanced: balancing,
  tracked,
};

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
        await gateway.change({});
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
  const before = gateway.reasons();
  const { verdict, frame } = gateway.send(sent, program);
  const after = gateway.reasons();
  const counted = reasonNames.filter((_, index) => after[index] !== before[index]);
  const expected = row.becomes(sent, frame);
  const found = {
    how,
    verdict,
    differences: differences(frame, encode(expected.packet)),
    counted: reasonOf(expected, counted),
  };
  expect(found).toEqual({
    how,
    verdict: actions[expected.verdict],
    differences: '',
    counted: expected.reason ?? undefined,
  });
}

/** What was counted, as far as the row says something about it. */
function reasonOf({ reason }: Outcome, counted: readonly string[]): string | undefined {
  if (reason === undefined) return undefined;
  if (reason !== null && counted.includes(reason)) return reason;
  return counted.length === 0 ? undefined : counted.join(' and ');
}
