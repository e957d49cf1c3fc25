// A live flow as a data plane tells of it: what stands in its packets, not which rule it came by.
import type { IpAddress, Port, Transport } from '../resources/address.ts';

/** `inbound`: a client through a frontend to a machine. `outbound`: a machine, as a frontend's address, to its peer. */
export type FlowDirection = 'inbound' | 'outbound';

/** `new`: one side has spoken, or TCP is not open yet. `closing`: one side has said that it is done. */
export type FlowState = 'new' | 'established' | 'closing';

export interface Side {
  readonly address: IpAddress;
  readonly port: Port;
}

export interface LiveFlow {
  readonly direction: FlowDirection;
  readonly transport: Transport;
  /** The client; of an outbound flow, whom the machine talks to. */
  readonly peer: Side;
  readonly frontend: Side;
  readonly machine: Side;
  /** It came in by an entry for every port. */
  readonly anyPort: boolean;
  readonly state: FlowState;
  readonly keptBy: 'conntrack' | 'xdp';
  /** Of both directions; 0 where nobody counts. */
  readonly packets: number;
  readonly bytes: number;
}

export interface FlowQuery {
  readonly wanted: (flow: LiveFlow) => boolean;
  /** At most so many are told, and read no further than that. */
  readonly most: number;
  /** Reads no others. With those that are over, as `closing`, while they keep their port from new ones. */
  readonly only?: 'outbound';
}

export interface FlowList {
  readonly flows: readonly LiveFlow[];
  /** There are more that were wanted. */
  readonly more: boolean;
}

/** Collects what is wanted until there are `most`; `add` is false when the rest need not be read. */
export class FlowCollector {
  readonly #query: FlowQuery;
  readonly #flows: LiveFlow[] = [];
  #more = false;

  constructor(query: FlowQuery) {
    this.#query = query;
  }

  add(flow: LiveFlow): boolean {
    if (this.#more) return false;
    if (!this.#query.wanted(flow)) return true;
    if (this.#flows.length < this.#query.most) this.#flows.push(flow);
    else this.#more = true;
    return !this.#more;
  }

  get list(): FlowList {
    return { flows: this.#flows, more: this.#more };
  }
}

/** What tells a flow from every other, whoever keeps it. */
export function flowKey({ direction, transport, peer, frontend }: LiveFlow): string {
  return `${direction}/${transport}/${peer.address}/${peer.port}/${frontend.address}/${frontend.port}`;
}
