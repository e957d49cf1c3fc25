// From entries of the forwarding table to frontends with all that they refer to.

import { protocolNumber } from '../../../forwarding/hash.ts';
import { groupOf } from '../../../forwarding/ring-numbers.ts';
import type { BalancedTarget, Endpoint, Entry, Target } from '../../../forwarding/table.ts';
import type { Transport } from '../../../resources/address.ts';
import { inetOf, readAddress } from './address-words.ts';
import { affinityOf, kindOf, type TargetWords } from './frontends.ts';
import { handedUpAs } from './handed-up.ts';
import { keyOf } from './hash.ts';
import { affinityNumber, handedUpMachine, targetKind } from './layout.ts';
import type { Parts } from './parts.ts';
import { Mismatch } from './trouble.ts';
import { WaysBack } from './ways-back.ts';

const portBits = 0xffff;

export class Entries {
  readonly #parts: Parts;
  readonly #address = new Int32Array(4);
  readonly #machine = new Int32Array(4);
  readonly #held = new Int32Array(4);

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The place of an endpoint; -1: it has none. */
  find({ address, port, transport }: Endpoint): number {
    return this.#parts.frontends.table.find(
      readAddress(address, this.#address),
      keyOf(port, protocolNumber[transport]),
    );
  }

  /** Throws `Mismatch` where there is none. */
  at(endpoint: Endpoint): number {
    const index = this.find(endpoint);
    if (index >= 0) return index;
    throw new Mismatch(`there is no entry for ${endpoint.address} ${endpoint.transport} ${endpoint.port}`);
  }

  /** Whether a place leads where `target` says, in every respect. */
  leadsTo(index: number, target: Target): boolean {
    const { frontends, backends, rings } = this.#parts;
    const { to, how } = frontends.newest(index);
    const kind = kindOf(how);
    if (kind === targetKind.none || (how & portBits) !== keyOf(target.port, 0)) return false;
    const transport = transportOf(this.#parts.frontends.table.key(index));
    if ((isHandedUp(kind) ? kind : undefined) !== handedUpAs(target, transport)) return false;
    if (leadsToMachine(how) !== (target.kind === 'nat')) return false;
    if (target.kind === 'balanced') {
      if ((isHandedUp(kind) ? targetKind.balanced : kind) !== balancedKind(target)) return false;
      return affinityOf(how) === affinityNumber[target.affinity] && rings.has(target.ring, to);
    }
    const wanted = readAddress(target.address, this.#machine);
    const held = backends.addressOf(to, this.#held);
    return wanted[3] === held[3] && wanted[0] === held[0] && wanted[1] === held[1] && wanted[2] === held[2];
  }

  /** First of all, for what goes and what is replaced: its way back is free for others. */
  leave(index: number): void {
    const { frontends, ways, ringPorts } = this.#parts;
    const { to, how } = frontends.newest(index);
    const kind = kindOf(how);
    const key = WaysBack.key(how, frontends.table.key(index));
    if (kind === targetKind.balanced) ringPorts.dropPort(to, key);
    else if (kind === targetKind.nat || kind === targetKind.tracked) ways.leave(to, key, index);
  }

  add({ endpoint, target }: Entry): void {
    const { frontends } = this.#parts;
    const address = readAddress(endpoint.address, this.#address);
    const key = keyOf(endpoint.port, protocolNumber[endpoint.transport]);
    const present = frontends.table.find(address, key);
    if (present >= 0 && kindOf(frontends.newest(present).how) !== targetKind.none) {
      throw new Mismatch(`there is an entry for ${endpoint.address} ${endpoint.transport} ${endpoint.port}`);
    }
    const index = present >= 0 ? present : frontends.table.claim(address, key);
    const words = this.#lead(index, key, target, undefined);
    frontends.stage(index, words, present >= 0 ? undefined : { address, key });
  }

  replace(index: number, target: Target): void {
    const { frontends } = this.#parts;
    const words = this.#lead(index, frontends.table.key(index), target, frontends.newest(index));
    frontends.stage(index, words, undefined);
  }

  /** Last of all, for what was replaced: what it used. */
  forget(index: number): void {
    this.#unuse(this.#parts.frontends.before(index));
  }

  /** Last of all, for what goes. */
  remove(index: number): void {
    this.#unuse(this.#parts.frontends.newest(index));
    this.#parts.frontends.remove(index);
  }

  #unuse({ to, how }: TargetWords): void {
    if (leadsToMachine(how)) this.#parts.backends.unuse(to, false);
  }

  #lead(index: number, key: number, target: Target, earlier: TargetWords | undefined): TargetWords {
    const { backends, counters, flowMoves, rings, ringPorts, serials, ways } = this.#parts;
    const port = keyOf(target.port, 0);
    const handedUp = handedUpAs(target, transportOf(key));
    let to: number;
    let kind: number;
    let affinity = 0;
    let inet = 0;
    if (target.kind === 'nat') {
      const machine = readAddress(target.address, this.#machine);
      to = backends.use(machine, false);
      inet = inetOf(machine);
      kind = handedUp ?? ways.join(to, WaysBack.key(port, key), index);
      if (handedUp !== undefined) affinity = handedUpMachine;
    } else {
      to = rings.indexOf(target.ring);
      kind = handedUp ?? balancedKind(target);
      affinity = affinityNumber[target.affinity];
      if (kind === targetKind.balanced) ringPorts.addPort(to, WaysBack.key(port, key));
    }
    const how = port | (kind << 16) | (affinity << 24);
    if (earlier === undefined || !this.#flowsGoOn(earlier, to, how))
      return { to, how, counter: counters.take(), serial: serials.take(), inet };
    const { serial } = earlier;
    if (earlier.to !== to) flowMoves.stage(index, serial, to);
    return { to, how, counter: counters.take(), serial, inet };
  }

  /** As `leadsElsewhere` of the forwarding table: flows go on where only affinity, masquerading or the pool's ring differ. */
  #flowsGoOn(before: TargetWords, to: number, how: number): boolean {
    const { rings } = this.#parts;
    if ((before.how & portBits) !== (how & portBits)) return false;
    const isMachine = leadsToMachine(how);
    if (leadsToMachine(before.how) !== isMachine || floats(before.how) !== floats(how)) return false;
    return (
      before.to === to || (!isMachine && groupOf(rings.numberAt(before.to)) === groupOf(rings.numberAt(to)))
    );
  }
}

/** True for what refers to a machine, false for what refers to a ring or to nothing. */
export function leadsToMachine(how: number): boolean {
  const kind = kindOf(how);
  return (
    kind === targetKind.nat ||
    kind === targetKind.tracked ||
    (isHandedUp(kind) && affinityOf(how) === handedUpMachine)
  );
}

/** Of a balanced target that the program does. */
function balancedKind({ floating }: BalancedTarget): number {
  switch (floating) {
    case undefined:
      return targetKind.balanced;
    case 'neighbour':
      return targetKind.floating;
    case 'ipip':
      return targetKind.encapsulated;
  }
}

function floats(how: number): boolean {
  return kindOf(how) >= targetKind.floating;
}

/** True for what nftables does. */
export function isHandedUp(kind: number): boolean {
  return kind === targetKind.handUp || kind === targetKind.leave;
}

/** Of a key in `frontends`. */
function transportOf(key: number): Transport {
  return (key >>> 16) % 256 === protocolNumber.tcp ? 'tcp' : 'udp';
}
