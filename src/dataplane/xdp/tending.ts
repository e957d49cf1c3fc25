// What the flow table needs a clock or a reader for: flows that are idle for too long, and the connections of members whose
// drain is over.
import type { Logger } from 'pino';
import type { Change, FlowSelector } from '../../forwarding/change.ts';
import { groupOf } from '../../forwarding/ring-numbers.ts';
import type { Endpoint, ForwardingTable } from '../../forwarding/table.ts';
import { addressBytes } from '../conntrack/address.ts';
import type { Connection } from '../reset/connection.ts';
import type { Engine } from './engine.ts';
import { type IdlePlaces, type IdleTable, IdleWatch, idlePlaces } from './idle-watch.ts';
import { FlowTable, type FoundFlow, isOpenConnection } from './memory/flow-table.ts';
import { inSteps } from './memory/steps.ts';

/** Seconds from one look to the next: where a rule has an idle timeout of its own, and where all is as usual. */
const shortInterval = 1;
const longInterval = 10;
/** Looking takes a tenth of the time at most. */
const share = 10;

/** Ends connections, and tells both ends; `forget` takes the flows out of the table. */
export type ResetConnections = (connections: readonly Connection[], forget: () => void) => Promise<void>;

export interface TendingOptions {
  readonly reset: ResetConnections;
  readonly logger: Logger;
  /** Seconds of a clock that only goes forward. */
  readonly now?: () => number;
}

export class Tending {
  readonly #options: TendingOptions;
  #watched: { readonly engine: Engine; readonly flows: FlowTable; readonly watch: IdleWatch } | undefined;
  #known: ({ readonly table: ForwardingTable } & IdleTable) | undefined;
  #looking: Promise<void> | undefined;
  #next = 0;

  constructor(options: TendingOptions) {
    this.#options = options;
  }

  /** Returns at once. */
  tend(engine: Engine, table: ForwardingTable): void {
    const now = this.#now();
    if (this.#watched !== undefined && this.#watched.engine !== engine) this.forgetEngine();
    if (this.#known?.table !== table) {
      this.#known = { table, ...idlePlaces(table, ({ endpoint }) => engine.image.placeOf(endpoint)) };
      if (this.#known.asked) this.#next = Math.min(this.#next, now);
    }
    const { places, asked } = this.#known;
    if (places.size === 0 || this.#looking !== undefined || now < this.#next) return;
    this.#looking = this.#look(engine, places)
      .catch((error: unknown) => {
        this.#options.logger.error({ err: error }, 'idle flows could not be ended; trying again');
      })
      .finally(() => {
        this.#looking = undefined;
        const took = this.#now() - now;
        // A little sooner than it is asked again.
        this.#next = now + Math.max(asked ? shortInterval : longInterval, took * share) - 0.5;
      });
  }

  /** What `status` says about it. */
  notes(): readonly string[] {
    const { left = 0, limited = 0 } = this.#known ?? {};
    return [...leftNote(left, 'idle timeout'), ...leftNote(limited, 'limits')];
  }

  /** The maps are given back, or others take their place: nothing of them may be read any more when this resolves. */
  async settled(): Promise<void> {
    await this.#looking;
    this.forgetEngine();
  }

  forgetEngine(): void {
    this.#watched = undefined;
    this.#known = undefined;
  }

  /** Connections to the members that a change takes their flows from with an RST. Before the change: it has them no more. */
  async draining(engine: Engine, { ending }: Change): Promise<readonly Ending[]> {
    const wanted = membersReset(engine, ending);
    if (wanted.size === 0) return [];
    const flows = new FlowTable(engine.image.memory);
    const found: Ending[] = [];
    const scan = flows.each((place) => {
      const flow = flows.read(place);
      if (flow === undefined || !isOpenConnection(flow)) return;
      const origin = flows.origin(flow);
      if (origin === undefined) return;
      const ends = wanted.get(`${groupOf(origin.ring)}/${origin.machine}`) ?? [];
      if (!ends.some((through) => through === 'all' || through.has(flow.frontend))) return;
      const connection = flows.connection(flow);
      if (connection !== undefined) found.push({ flow, connection });
    });
    await inSteps(scan);
    return found;
  }

  /** Tells both ends of connections that a change has taken out of the table. */
  async end(endings: readonly Ending[]): Promise<void> {
    if (endings.length === 0) return;
    try {
      // The table has them by members that are gone: no packet follows them any more.
      await this.#options.reset(
        endings.map(({ connection }) => connection),
        () => {},
      );
    } catch (error) {
      this.#options.logger.error({ err: error }, 'connections have ended, but their ends could not be told');
    }
  }

  async #look(engine: Engine, places: IdlePlaces): Promise<void> {
    if (this.#watched === undefined) {
      const flows = new FlowTable(engine.image.memory);
      this.#watched = { engine, flows, watch: new IdleWatch(flows) };
    }
    const { flows, watch } = this.#watched;
    const { silent, resetting } = await inSteps(watch.look(places, this.#now()));
    for (const flow of silent) flows.forget(flow);
    if (resetting.length === 0) return;
    const connections = resetting.map(({ connection }) => connection);
    await this.#options.reset(connections, () => {
      for (const { flow } of resetting) flows.forget(flow);
    });
  }

  #now(): number {
    return (this.#options.now ?? (() => performance.now() / 1_000))();
  }
}

/** A connection that is to end, and where it is kept. */
export interface Ending {
  readonly flow: FoundFlow;
  readonly connection: Connection;
}

/** By group of the ring and machine: all flows, or those through the frontends with these indices. */
function membersReset(
  engine: Engine,
  ending: readonly FlowSelector[],
): ReadonlyMap<string, readonly ('all' | ReadonlySet<number>)[]> {
  const wanted = new Map<string, ('all' | ReadonlySet<number>)[]>();
  /** Many members end with the same endpoints. */
  const places = new Map<readonly Endpoint[], ReadonlySet<number>>();
  const placesOf = (list: readonly Endpoint[]) => {
    const known = places.get(list) ?? new Set(list.map((endpoint) => engine.image.placeOf(endpoint)));
    places.set(list, known);
    return known;
  };
  for (const each of ending) {
    if (each.kind !== 'ring-member' || each.reset !== true) continue;
    const key = `${groupOf(each.ring)}/${addressBytes(each.backend).toString('hex')}`;
    const through = each.endpoints === undefined ? 'all' : placesOf(each.endpoints);
    wanted.set(key, [...(wanted.get(key) ?? []), through]);
  }
  return wanted;
}

function leftNote(rules: number, reason: string): readonly string[] {
  if (rules === 0) return [];
  return [
    `nftables forwards what ${rules} ${rules === 1 ? 'rule leads' : 'rules lead'} on, for their ${reason}`,
  ];
}
