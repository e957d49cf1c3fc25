// After a whole table was loaded: which of the flows from before does it not allow?
import { setImmediate } from 'node:timers/promises';
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import { groupOf } from '../../forwarding/ring-numbers.ts';
import type { Entry, OutboundEntry, Ring } from '../../forwarding/table.ts';
import {
  type ClientTest,
  clientTest,
  endpointText,
  type Flow,
  type FlowMarks,
  hex,
  isAnyPort,
  isOurs,
  isOutbound,
  outboundMark,
  outboundText,
  ringOf,
  sourceText,
} from './selection.ts';
import { statusDestinationNat, statusSourceNat } from './tuple.ts';

export interface LiveTable {
  entries(): Iterable<Entry>;
  readonly rings: Iterable<Ring>;
  readonly outbound: Iterable<OutboundEntry>;
  readonly limits: Iterable<FlowLimit>;
}

/** Collects the flows that may be stale, and then compares them with the table: memory grows with the flows, not the table. */
export interface Suspects<Name> {
  /** Calls `name` only for flows that are kept. */
  add(flow: Flow, name: () => Name): void;
  stale(table: LiveTable): Promise<readonly Name[]>;
}

interface Suspect<Name> {
  readonly flow: Flow;
  readonly name: Name;
}

const entriesAtOnce = 2000;

export function collectSuspects<Name>(marks: FlowMarks): Suspects<Name> {
  /** Flows of ours, and flows that were never translated, by the endpoint that they would have come through. */
  const ours = new Map<string, Suspect<Name>[]>();
  const knocking = new Map<string, Suspect<Name>[]>();
  /** Of outbound entries, by `outboundText` and mark. */
  const outwards = new Map<string, Suspect<Name>[]>();

  return {
    add(flow, name) {
      const { original, reply, mark, status } = flow;
      const address = `${original.destination}/${original.protocol}`;
      if ((status & statusDestinationNat) !== 0) {
        if (!isOurs(mark, marks)) return;
        const through = isAnyPort(mark, marks) ? 0 : original.destinationPort;
        push(ours, `${address}/${through}`, { flow, name: name() });
      } else if ((status & statusSourceNat) !== 0 && isOutbound(mark, marks)) {
        push(outwards, `${outboundText(original, reply)}/${mark >>> 0}`, { flow, name: name() });
      } else if (reply.source === original.destination) {
        const suspect = { flow, name: name() };
        push(knocking, `${address}/${original.destinationPort}`, suspect);
        push(knocking, `${address}/0`, suspect);
      }
    },
    async stale({ entries, rings, outbound, limits }) {
      const doomed = new Set<Name>();
      if (ours.size + knocking.size + outwards.size === 0) return [];
      const members = memberTest(rings);
      const clients = new Map(Array.from(limits, ({ number, allowed }) => [number, testOf(allowed)]));
      const live = new Set<Name>();
      let count = 0;
      for (const entry of entries()) {
        count += 1;
        if (count % entriesAtOnce === 0) await setImmediate();
        const key = endpointText(entry.endpoint);
        for (const { name } of knocking.get(key) ?? []) doomed.add(name);
        for (const { flow, name } of ours.get(key) ?? []) {
          const isAllowed = clients.get(entry.target.limit ?? 0) ?? everybody;
          if (allows(entry, flow, members) && isAllowed(flow.original.source)) live.add(name);
        }
      }
      for (const entry of outwards.size === 0 ? [] : outbound) {
        for (const { flow, name } of outwards.get(`${sourceText(entry)}/${outboundMark(entry, marks)}`) ??
          []) {
          if (flow.reply.destinationPort <= entry.last) live.add(name);
        }
      }
      for (const suspects of [...ours.values(), ...outwards.values()]) {
        for (const { name } of suspects) if (!live.has(name)) doomed.add(name);
      }
      return [...doomed];
    },
  };
}

function allows({ endpoint, target }: Entry, { original, reply, mark }: Flow, members: MemberTest): boolean {
  if (endpoint.port !== 0 && reply.sourcePort !== (target.port === 0 ? endpoint.port : target.port))
    return false;
  return target.kind === 'balanced'
    ? groupOf(ringOf(mark)) === groupOf(target.ring) && members(target.ring, reply.source, original.protocol)
    : ringOf(mark) === 0 && reply.source === hex(target.address);
}

const everybody: ClientTest = () => true;

function testOf(allowed: FlowLimit['allowed']): ClientTest {
  return allowed.length === 0 ? everybody : clientTest(allowed);
}

type MemberTest = (ring: number, address: string, protocol: number) => boolean;

function memberTest(rings: Iterable<Ring>): MemberTest {
  const udp = 17;
  const keeps = new Map<string, boolean>();
  for (const { number, members } of rings) {
    for (const { address, eligible, keepsUdp, drained } of members) {
      if (drained) continue;
      keeps.set(`${number}/${hex(address)}`, eligible || keepsUdp);
    }
  }
  return (ring, address, protocol) => {
    const keepsUdp = keeps.get(`${ring}/${address}`);
    return keepsUdp === true || (keepsUdp === false && protocol !== udp);
  };
}

function push<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
