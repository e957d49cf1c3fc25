// Ends flows that the program keeps and that have been idle for too long. When a packet last came is known by the program's
// clock, which is nobody else's; so the agent notes on its own clock since when a flow's word has been what it is. After a
// restart it begins anew, and flows end later, never sooner.
import type { Idle } from '../../forwarding/idle.ts';
import type { Entry, ForwardingTable } from '../../forwarding/table.ts';
import type { Connection } from '../reset/connection.ts';
import { type FlowTable, type FoundFlow, isOpenConnection } from './memory/flow-table.ts';
import { handedUpAs, keptIdle } from './memory/handed-up.ts';
import { flowKind } from './memory/layout.ts';

/** Seconds by which the program may note a packet late: TCP_TOUCH, and one unit of its time for UDP; and one more unit. */
const lateness = { tcp: 6, udp: 3 } as const;
const tcp = 6;

/** Endpoints whose flows end, by their place in `frontends`. */
export type IdlePlaces = ReadonlyMap<number, Idle>;

/** What a table asks for. */
export interface IdleTable {
  readonly places: IdlePlaces;
  /** Whether any of these flows are of a rule that asks for a timeout itself. */
  readonly asked: boolean;
  /** Rules whose timeout nftables sees to. */
  readonly left: number;
  /** Rules whose limits nftables sees to. */
  readonly limited: number;
}

/** `placeOf`: below 0 where there is none. */
export function idlePlaces(table: ForwardingTable, placeOf: (entry: Entry) => number): IdleTable {
  const places = new Map<number, Idle>();
  let asked = false;
  let left = 0;
  let limited = 0;
  for (const { rules, limits } of table.loadBalancers.values()) {
    limited += limits.size;
    for (const [name, { entries }] of rules) {
      // Mappings have no flows of their own, or leave them to nftables.
      if (name.startsWith('nat/')) {
        // All of a rule's ask for the same.
        const [first] = entries.values();
        left += Number(first?.target.idle !== undefined);
        continue;
      }
      let isLeft = false;
      for (const entry of entries.values()) {
        const { transport } = entry.endpoint;
        const idle = keptIdle(entry.target, transport);
        if (handedUpAs(entry.target, transport) !== undefined) {
          isLeft ||= entry.target.idle !== undefined;
          continue;
        }
        if (idle === undefined) continue;
        const place = placeOf(entry);
        if (place >= 0) places.set(place, idle);
        asked ||= entry.target.idle !== undefined;
      }
      left += Number(isLeft);
    }
  }
  return { places, asked, left, limited };
}

/** What is over: those to be forgotten in silence, and those of which both ends are told. */
export interface IdleFlows {
  readonly silent: readonly FoundFlow[];
  readonly resetting: readonly { readonly flow: FoundFlow; readonly connection: Connection }[];
}

export class IdleWatch {
  readonly #flows: FlowTable;
  /** By place: the low half of the word when it was last looked at, and since when it has been that (seconds). */
  readonly #lows: Int32Array;
  readonly #since: Float64Array;

  constructor(flows: FlowTable) {
    this.#flows = flows;
    this.#lows = new Int32Array(flows.capacity);
    this.#since = new Float64Array(flows.capacity);
  }

  /** In steps. `now`: seconds of a clock that only goes forward. */
  *look(places: IdlePlaces, now: number): Generator<void, IdleFlows, void> {
    const shortest = Math.min(...new Set(Array.from(places.values(), ({ seconds }) => seconds)));
    const silent: FoundFlow[] = [];
    const resetting: { readonly flow: FoundFlow; readonly connection: Connection }[] = [];
    yield* this.#flows.each((place, low) => {
      if (this.#lows[place] !== low) {
        this.#lows[place] = low;
        this.#since[place] = now;
        return;
      }
      const idleFor = now - (this.#since[place] as number);
      if (idleFor < shortest) return;
      const flow = this.#flows.read(place);
      const idle = flow && places.get(flow.frontend);
      if (flow === undefined || idle === undefined || !isOver(flow, idle, idleFor)) return;
      if (!this.#flows.isCurrent(flow)) return;
      const connection = idle.reset ? this.#flows.connection(flow) : undefined;
      if (connection === undefined) silent.push(flow);
      else resetting.push({ flow, connection });
    });
    return { silent, resetting };
  }
}

/** Of a flow whose port was changed, the second entry may have been seen when this one was not: it ends as without a rule. */
function isOver(flow: FoundFlow, { seconds }: Idle, idleFor: number): boolean {
  if (flow.kind !== flowKind.balanced || flow.isReported) return false;
  if (flow.protocol !== tcp) return idleFor >= seconds + lateness.udp;
  return isOpenConnection(flow) && idleFor >= seconds + lateness.tcp;
}
