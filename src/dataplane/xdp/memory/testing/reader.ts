// Reads the memory as the program does, packet by packet, and nothing else: what a packet would see at an epoch.
import { type FiveTuple, protocolNumber, slotOf } from '../../../../forwarding/hash.ts';
import type { Affinity, RingSize } from '../../../../forwarding/table.ts';
import type { IpAddress, Transport } from '../../../../resources/address.ts';
import { readAddress, writeAddress } from '../address-words.ts';
import { addressHash, keyOf, tableHash } from '../hash.ts';
import {
  addressBit,
  affinityNumber,
  backend,
  control,
  frontend,
  machine,
  member,
  memberState,
  protocolMachine,
  ring,
  slotsPerUnit,
  target,
  targetKind,
  way,
} from '../layout.ts';
import type { MapMemory, Memory } from '../map-memory.ts';

export interface SeenTarget {
  readonly kind: keyof typeof targetKind;
  /** Index into `machines` or `rings`. */
  readonly to: number;
  /** 0: the packet's own. */
  readonly port: number;
  readonly affinity: number;
  readonly counter: number;
  readonly serial: number;
}

export interface SeenWay {
  /** Place in `backends`. */
  readonly place: number;
  readonly shared: boolean;
  /** Frontend (of a machine: index into `machines`); absent: nobody. */
  readonly index?: number;
}

const affinities = Object.keys(affinityNumber) as readonly Affinity[];
const kinds = Object.keys(targetKind) as readonly (keyof typeof targetKind)[];

export class Reader {
  readonly #memory: Memory;
  readonly #epoch: number | undefined;

  /** Without an epoch, of each question, the newest. */
  constructor(memory: Memory, epoch?: number) {
    this.#memory = memory;
    this.#epoch = epoch;
  }

  get epoch(): number {
    return this.#epoch ?? view(this.#memory.control).getUint32(control.epoch, true);
  }

  /** Place in `frontends` and visible target of an endpoint, or else of all ports of its address. */
  frontend(
    address: IpAddress,
    transport: Transport,
    port: number,
  ): { readonly place: number; readonly key: number; readonly target: SeenTarget } | undefined {
    for (const key of [port, 0]) {
      const place = this.#find(this.#memory.frontends, address, keyOf(key, protocolNumber[transport]));
      const seen = place === undefined ? undefined : this.target(place);
      if (place !== undefined && seen !== undefined) return { place, key, target: seen };
    }
    return undefined;
  }

  /** The visible target of a place. */
  target(place: number): SeenTarget | undefined {
    const map = view(this.#memory.frontends);
    const at = place * frontend.size;
    const base =
      at + frontend.targets + this.#visible(map.getUint32(at + frontend.version, true)) * target.size;
    const kind = kinds[map.getUint8(base + target.kind)] ?? 'none';
    if (kind === 'none') return undefined;
    return {
      kind,
      to: map.getUint32(base + target.to, true),
      port: map.getUint16(base + target.port),
      affinity: map.getUint8(base + target.affinity),
      counter: map.getUint32(base + target.counter, true),
      serial: map.getUint32(base + target.serial, true),
    };
  }

  /** Address, port and protocol of a place in `frontends`. */
  endpoint(place: number): { readonly address: string; readonly port: number; readonly protocol: number } {
    const map = view(this.#memory.frontends);
    const at = place * frontend.size;
    return {
      address: textAt(this.#memory.frontends, at + frontend.address),
      port: map.getUint16(at + frontend.port),
      protocol: map.getUint8(at + frontend.protocol),
    };
  }

  /** Where a new flow goes; `handUp`: to nftables. Throws where the memory contradicts itself. */
  lookup(packet: FiveTuple): { readonly address: string; readonly port: number } | 'handUp' | undefined {
    const found = this.frontend(packet.destinationAddress, packet.transport, packet.destinationPort);
    if (found === undefined) return undefined;
    this.#expectBit(packet.destinationAddress, addressBit.frontend);
    const { kind, to, affinity } = found.target;
    if (kind === 'handUp' || kind === 'leave') return 'handUp';
    const port = found.target.port === 0 ? packet.destinationPort : found.target.port;
    if (kind !== 'balanced') {
      const address = this.machineAddress(to);
      this.#expectWay(address, found.target, found.place, port, found.key, packet.transport);
      return { address, port };
    }
    const range = this.range(to);
    if (range.size === 0) return undefined;
    const slot = slotOf(range.size as RingSize, affinities[affinity] ?? 'five-tuple', packet);
    const index = view(this.#memory.slots).getUint32((range.first * slotsPerUnit + slot) * 4, true);
    const owner = this.member(index);
    if ((owner.state & memberState.tcp) === 0 || (owner.state & memberState.udp) === 0) {
      throw new Error(`slot ${slot} leads to member ${index}, which is ${owner.state}`);
    }
    const address = this.machineAddress(owner.machine);
    if (this.machine(address as IpAddress)?.shared !== true) throw new Error(`${address} is not in a ring`);
    this.#expectBit(address as IpAddress, addressBit.machine | addressBit.ring);
    return { address, port };
  }

  range(index: number): { readonly first: number; readonly size: number } {
    const map = view(this.#memory.rings);
    const at = index * ring.size;
    const base = at + ring.ranges + this.#visible(map.getUint32(at + ring.version, true)) * 8;
    return { first: map.getUint32(base, true), size: map.getUint32(base + 4, true) };
  }

  member(index: number): {
    readonly state: number;
    readonly machine: number;
    readonly serial: number;
    readonly counter: number;
    readonly ring: number;
  } {
    const map = view(this.#memory.members);
    const at = index * member.size;
    return {
      state: map.getUint8(at + member.states + this.#visible(map.getUint32(at + member.version, true))),
      machine: map.getUint32(at + member.machine, true),
      serial: map.getUint32(at + member.serial, true),
      counter: map.getUint32(at + member.counter, true),
      ring: map.getUint32(at + member.ring, true),
    };
  }

  machineAddress(index: number): string {
    return textAt(this.#memory.machines, index * machine.size + machine.address);
  }

  /** What a machine's own entry says. */
  machine(address: IpAddress): SeenWay | undefined {
    return this.#way(address, keyOf(0, protocolMachine));
  }

  /** What the source of an answer tells; `port` 0: of frontends for every port. */
  back(address: IpAddress, transport: Transport, port: number): SeenWay | undefined {
    return this.#way(address, keyOf(port, protocolNumber[transport]));
  }

  /** The `ADDRESS_` bits of an address. */
  bits(address: IpAddress): number {
    const { buffer, entries, valueSize } = this.#memory.addresses;
    const cell = addressHash(readAddress(address, new Int32Array(4))) & (entries * valueSize - 1);
    return new Uint8Array(buffer)[cell] ?? 0;
  }

  #way(address: IpAddress, key: number): SeenWay | undefined {
    const place = this.#find(this.#memory.backends, address, key);
    if (place === undefined) return undefined;
    const map = view(this.#memory.backends);
    const at = place * backend.size;
    const value = map.getInt32(
      at + backend.ways + this.#visible(map.getUint32(at + backend.version, true)) * 4,
      true,
    );
    if ((value & way.exists) === 0) return undefined;
    const index = value & way.index;
    const shared = (value & way.shared) !== 0;
    return index === way.nobody ? { place, shared } : { place, shared, index };
  }

  #find(map: MapMemory, address: IpAddress, key: number): number | undefined {
    const bytes = view(map);
    const words = readAddress(address, new Int32Array(4));
    const home = tableHash(words, key);
    const mask = map.entries - 1;
    const reach = bytes.getUint8((home & mask) * map.valueSize + frontend.reach);
    for (let probe = 0; probe <= reach; probe += 1) {
      const place = (home + (probe * (probe + 1)) / 2) & mask;
      const at = place * map.valueSize;
      const same = words.every((word, index) => bytes.getInt32(at + index * 4, true) === word);
      if (same && (bytes.getUint32(at + frontend.port, true) & 0xffffff) === key) return place;
    }
    return undefined;
  }

  #visible(version: number): number {
    return version >>> 1 <= this.epoch ? version & 1 : (version & 1) ^ 1;
  }

  #expectBit(address: IpAddress, bits: number): void {
    if ((this.bits(address) & bits) !== bits) throw new Error(`${address} is not marked as ${bits}`);
  }

  /** The way back of a NAT mapping leads to its frontend, or to the flow table. */
  #expectWay(
    address: string,
    { kind, port: fixed }: SeenTarget,
    place: number,
    port: number,
    key: number,
    transport: Transport,
  ): void {
    const machineAddress = address as IpAddress;
    this.#expectBit(machineAddress, addressBit.machine);
    if (this.machine(machineAddress) === undefined) throw new Error(`${address} is no machine`);
    const back = this.back(machineAddress, transport, fixed === 0 && key === 0 ? 0 : port);
    if (back === undefined) throw new Error(`${address}:${port} has no way back`);
    if (kind === 'tracked' && !back.shared) throw new Error(`${address}:${port} is not shared`);
    if (kind === 'nat' && back.index !== place) throw new Error(`${address}:${port} leads back elsewhere`);
  }
}

function textAt({ buffer }: MapMemory, at: number): string {
  return writeAddress(new Int32Array(buffer, at, 4));
}

const views = new WeakMap<ArrayBuffer, DataView>();

function view({ buffer }: MapMemory): DataView {
  const known = views.get(buffer);
  if (known !== undefined) return known;
  const made = new DataView(buffer);
  views.set(buffer, made);
  return made;
}
