// Which ports of one frontend address are free for outbound rules, by eights.
import type { Port, Transport } from '../resources/address.ts';
import { outboundPortsPerAddress, outboundPortsStep } from '../resources/parse-outbound-rule.ts';

/** 64,000 ports up to the last one; the ports of most services lie below. */
const firstPort = 65_536 - outboundPortsPerAddress;
const units = outboundPortsPerAddress / outboundPortsStep;

export interface PortRange {
  /** Inclusive. */
  readonly first: Port;
  readonly last: Port;
}

export class OutboundSpace {
  /** 1 for each eight that is taken, or of which a rule uses one. */
  readonly #taken: Readonly<Record<Transport, Uint8Array>> = {
    tcp: new Uint8Array(units),
    udp: new Uint8Array(units),
  };
  /** Where the search goes on, by what is searched for: above it there was no room. */
  readonly #tried = new Map<string, number>();

  /** Takes whatever lies in the space of a range of ports; 0 is every port. */
  close(transport: Transport, first: Port | 0, last: Port | 0): void {
    const [from, to] = first === 0 ? [0, units - 1] : [unitOf(first), unitOf(last)];
    this.#taken[transport].fill(1, Math.max(0, from), Math.max(0, to + 1));
  }

  isFree(transports: readonly Transport[], { first, last }: PortRange): boolean {
    return this.#blocked(transports, unitOf(first), unitOf(last) + 1) < 0;
  }

  take(transports: readonly Transport[], { first, last }: PortRange): void {
    for (const transport of transports) this.close(transport, first, last);
  }

  /** The highest free range of so many ports, taken; undefined where there is none. */
  takeAny(transports: readonly Transport[], ports: number): PortRange | undefined {
    const range = this.find(transports, ports);
    if (range !== undefined) this.take(transports, range);
    return range;
  }

  find(transports: readonly Transport[], ports: number): PortRange | undefined {
    const length = ports / outboundPortsStep;
    const search = `${transports}/${length}`;
    let from = Math.min(this.#tried.get(search) ?? units, units - length);
    while (from >= 0) {
      const blocked = this.#blocked(transports, from, from + length);
      if (blocked < 0) break;
      from = blocked - length;
    }
    this.#tried.set(search, from);
    if (from < 0) return undefined;
    const first = firstPort + from * outboundPortsStep;
    return { first, last: first + ports - 1 };
  }

  /** Free ports. */
  free(transports: readonly Transport[]): number {
    let free = 0;
    for (let unit = 0; unit < units; unit += 1) {
      if (transports.every((transport) => this.#taken[transport][unit] === 0)) free += outboundPortsStep;
    }
    return free;
  }

  /** How many blocks of so many ports have room. */
  room(transports: readonly Transport[], ports: number): number {
    const copy = this.copy();
    let blocks = 0;
    while (copy.takeAny(transports, ports) !== undefined) blocks += 1;
    return blocks;
  }

  copy(): OutboundSpace {
    const copy = new OutboundSpace();
    copy.#taken.tcp.set(this.#taken.tcp);
    copy.#taken.udp.set(this.#taken.udp);
    return copy;
  }

  /** The last eight of a stretch that is taken, or -1. */
  #blocked(transports: readonly Transport[], from: number, to: number): number {
    let last = -1;
    for (const transport of transports) {
      const at = from >= to ? -1 : this.#taken[transport].subarray(from, to).lastIndexOf(1);
      if (at >= 0) last = Math.max(last, from + at);
    }
    return last;
  }
}

/** Below the space: negative. */
function unitOf(port: Port): number {
  return Math.floor((port - firstPort) / outboundPortsStep);
}
