import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { GatewayEvent } from './contract.ts';
import { EventLog } from './events.ts';

const event = (revision: number): GatewayEvent => ({
  revision,
  time: 0,
  kind: 'warning',
  warning: { code: 'TEST', message: String(revision), remedy: '' },
});

/** A change that assigned 10,000 ports. */
const largeEvent = (revision: number): GatewayEvent => ({
  revision,
  time: 0,
  kind: 'applied',
  plan: {
    assigned: new Array<never>(10_000),
    released: [],
    remapped: [],
    assignedTotal: 10_000,
    releasedTotal: 0,
    remappedTotal: 0,
    entriesAdded: 0,
    entriesReplaced: 0,
    entriesDeleted: 0,
    poolsRebalanced: 0,
    outboundAssigned: 0,
    outboundReleased: 0,
    outboundChanged: 0,
    commitTime: 0,
  },
});

async function take(events: AsyncIterable<GatewayEvent>, count: number): Promise<readonly number[]> {
  const revisions: number[] = [];
  for await (const { revision } of events) {
    revisions.push(revision);
    if (revisions.length === count) break;
  }
  return revisions;
}

describe('EventLog', () => {
  it('replays what came after a revision, then goes on live', async () => {
    const log = new EventLog(1);
    for (const revision of [2, 3, 4]) log.publish(event(revision));
    const taken = take(log.follow(2, new AbortController().signal), 3);
    await nextTurn();
    log.publish(event(5));
    expect(await taken).toEqual([3, 4, 5]);
  });

  it('starts with what is to come for revision 0', async () => {
    const log = new EventLog(1);
    log.publish(event(2));
    const taken = take(log.follow(0, new AbortController().signal), 1);
    await nextTurn();
    log.publish(event(3));
    expect(await taken).toEqual([3]);
  });

  it('says so when the events since then are gone', async () => {
    const log = new EventLog(7);
    await expect(take(log.follow(6, new AbortController().signal), 1)).rejects.toThrow(
      /kept after revision 7/,
    );
    for (let revision = 8; revision < 1_100; revision += 1) log.publish(event(revision));
    await expect(take(log.follow(8, new AbortController().signal), 1)).rejects.toThrow(/watch from 0/);
    expect(await take(log.follow(1_098, new AbortController().signal), 1)).toEqual([1_099]);
  });

  it('cuts off a reader that falls too far behind', async () => {
    const log = new EventLog(0);
    const events = log.follow(0, new AbortController().signal)[Symbol.asyncIterator]();
    const first = events.next();
    await nextTurn();
    for (let revision = 1; revision <= 1_200; revision += 1) log.publish(event(revision));
    expect((await first).value?.revision).toBe(1);
    const rest = (async () => {
      for (;;) if ((await events.next()).done === true) return;
    })();
    await expect(rest).rejects.toThrow(/fell more than/);
  });

  it('ends when the reader goes', async () => {
    const log = new EventLog(0);
    const gone = new AbortController();
    const taken = take(log.follow(0, gone.signal), 5);
    await nextTurn();
    log.publish(event(1));
    await nextTurn();
    gone.abort();
    expect(await taken).toEqual([1]);
  });

  it('does not know revisions to come: they are those of another history', async () => {
    const log = new EventLog(1);
    log.publish(event(2));
    const gone = new AbortController().signal;
    await expect(take(log.follow(3, gone), 1)).rejects.toMatchObject({ reason: 'REVISION_UNAVAILABLE' });
  });

  it('keeps no more mappings for a slow reader than for all', async () => {
    const log = new EventLog(1);
    const reader = log.follow(0, new AbortController().signal);
    const first = reader.next();
    for (let revision = 2; revision < 12; revision += 1) log.publish(largeEvent(revision));
    expect((await first).value).toMatchObject({ revision: 2 });
    const rest = (async () => {
      for await (const { revision } of { [Symbol.asyncIterator]: () => reader })
        expect(revision).toBeLessThan(9);
    })();
    await expect(rest).rejects.toMatchObject({ reason: 'READER_TOO_SLOW' });
  });
});
