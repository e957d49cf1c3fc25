// Idle flows of the flow table, on a clock of the test's own.
import { describe, expect, it } from 'vitest';
import type { Idle } from '../../forwarding/idle.ts';
import { IdleWatch } from './idle-watch.ts';
import { FlowTable } from './memory/flow-table.ts';
import { bucket, flow, flowKind, flowState, flowWays, frontend, member, ring } from './memory/layout.ts';
import type { MapMemory, Memory } from './memory/map-memory.ts';

const map = (entries: number, valueSize: number): MapMemory => ({
  buffer: new ArrayBuffer(entries * valueSize),
  entries,
  valueSize,
});

interface Written {
  readonly place: number;
  readonly protocol: 6 | 17;
  readonly state: number;
  readonly frontend: number;
  readonly kind?: number;
  readonly client?: string;
  readonly sentPort?: number;
}

/** Flows as the program writes them. */
class Flows {
  readonly memory: Memory;
  readonly table: FlowTable;

  constructor() {
    this.memory = {
      flows: map(16, bucket.size),
      frontends: map(8, frontend.size),
      members: map(4, member.size),
      rings: map(4, ring.size),
    } as unknown as Memory;
    this.table = new FlowTable(this.memory);
    Buffer.from(this.memory.frontends.buffer).write('00000000000000000000ffffcb007101', frontend.size, 'hex');
  }

  put({ place, protocol, state, frontend: index, kind = flowKind.balanced, ...over }: Written): void {
    const bytes = Buffer.from(this.memory.flows.buffer);
    const at = this.#flowAt(place);
    bytes.write(over.client ?? '00000000000000000000ffff0a000002', at + flow.client, 'hex');
    bytes.write('00000000000000000000ffff0a010001', at + flow.machine, 'hex');
    bytes.writeUInt16BE(40_000, at + flow.client_port);
    bytes.writeUInt16BE(80, at + flow.frontend_port);
    bytes.writeUInt16BE(8080, at + flow.machine_port);
    bytes.writeUInt16BE(over.sentPort ?? 40_000, at + flow.sent_port);
    bytes.writeUInt32LE(index, at + flow.frontend);
    bytes.writeUInt8(protocol, at + flow.protocol);
    bytes.writeUInt8(kind, at + flow.kind);
    this.touch(place, state, 1);
  }

  /** A packet at a time of the program's clock. */
  touch(place: number, state: number, time: number): void {
    const bytes = Buffer.from(this.memory.flows.buffer);
    bytes.writeUInt32LE(((state << 24) | time) >>> 0, this.#wordAt(place));
    bytes.writeUInt32LE(0x1234, this.#wordAt(place) + 4);
  }

  isThere(place: number): boolean {
    return Buffer.from(this.memory.flows.buffer).readBigUInt64LE(this.#wordAt(place)) !== 0n;
  }

  #flowAt(place: number): number {
    return Math.floor(place / flowWays) * bucket.size + bucket.flows + (place % flowWays) * flow.size;
  }

  #wordAt(place: number): number {
    return Math.floor(place / flowWays) * bucket.size + (place % flowWays) * 8;
  }
}

function look(watch: IdleWatch, places: ReadonlyMap<number, Idle>, now: number) {
  const steps = watch.look(places, now);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

const asked = new Map<number, Idle>([
  [1, { seconds: 30, reset: true }],
  [2, { seconds: 10, reset: false }],
]);

describe('flows', () => {
  it('are over after their time and never before, counted from when nothing came any more', () => {
    const flows = new Flows();
    const watch = new IdleWatch(flows.table);
    flows.put({ place: 3, protocol: 6, state: flowState.open, frontend: 1 });
    flows.put({ place: 50, protocol: 17, state: flowState.replied, frontend: 2 });
    flows.put({ place: 51, protocol: 17, state: flowState.open, frontend: 2 });
    const over = new Map<number, number>();
    for (let now = 100; now < 160; now += 1) {
      if (now === 120) flows.touch(3, flowState.open, 20);
      if (now < 130) flows.touch(51, flowState.open, now);
      const { silent, resetting } = look(watch, asked, now);
      for (const found of [...silent, ...resetting.map((each) => each.flow)]) {
        over.set(found.place, over.get(found.place) ?? now);
        flows.table.forget(found);
        expect(flows.isThere(found.place)).toBe(false);
      }
    }
    expect(over.get(3)).toBeGreaterThan(150);
    expect(over.get(3)).toBeLessThan(158);
    expect(over.get(50)).toBe(113);
    expect(over.get(51)).toBe(142);
  });

  it('are left alone where no rule says so, before the handshake, at their end, and where they are not balanced', () => {
    const flows = new Flows();
    const watch = new IdleWatch(flows.table);
    flows.put({ place: 0, protocol: 6, state: flowState.open, frontend: 3 });
    flows.put({ place: 1, protocol: 6, state: flowState.fresh, frontend: 1 });
    flows.put({ place: 2, protocol: 6, state: flowState.closing, frontend: 1 });
    flows.put({ place: 3, protocol: 6, state: flowState.open, frontend: 1, kind: flowKind.direct });
    flows.put({ place: 4, protocol: 6, state: flowState.open, frontend: 1, sentPort: 1024 });
    look(watch, asked, 0);
    expect(look(watch, asked, 1_000)).toEqual({ silent: [], resetting: [] });
  });

  it('that shall be reset are told with both of their ends, of both families', () => {
    const flows = new Flows();
    const watch = new IdleWatch(flows.table);
    flows.put({ place: 0, protocol: 6, state: flowState.open, frontend: 1 });
    look(watch, asked, 0);
    const { resetting } = look(watch, asked, 40);
    expect(
      resetting.map(({ connection }) =>
        Object.values(connection).map(({ address, port }) => `${[...address].join('.')}:${port}`),
      ),
    ).toEqual([['10.0.0.2:40000', '203.0.113.1:80', '10.1.0.1:8080', '10.0.0.2:40000']]);
    flows.put({
      place: 0,
      protocol: 6,
      state: flowState.open,
      frontend: 1,
      client: '20010db8000000000000000000000001',
    });
    const [six] = look(watch, asked, 80).resetting;
    expect(six?.connection.client.address).toHaveLength(16);
  });

  it('are not forgotten when a packet comes at the last moment', () => {
    const flows = new Flows();
    const watch = new IdleWatch(flows.table);
    flows.put({ place: 0, protocol: 17, state: flowState.open, frontend: 2 });
    look(watch, asked, 0);
    const [found] = look(watch, asked, 40).silent;
    flows.touch(0, flowState.open, 99);
    if (found === undefined) throw new Error('it is not over');
    flows.table.forget(found);
    expect(flows.isThere(0)).toBe(true);
  });
});
