// Tells whether what became of a frame can be right, whatever the frame: by the rules, and by sums over the bytes.
import type { XdpAction } from '../../../src/dataplane/xdp/kernel/test-run.ts';
import { type Entry, endpointKey, type ForwardingTable, type Ring } from '../../../src/forwarding/table.ts';
import { ip } from '../../../src/forwarding/testing/declare.ts';
import { addressText, macText } from '../frame/address.ts';
import { type Dissection, dissect, type Field } from '../frame/dissect.ts';
import { mark } from '../rows/row.ts';
import {
  type Device,
  type DeviceName,
  devices,
  hopTo,
  macOf,
  neighbours,
  physicalOf,
} from '../world/places.ts';

export type Judge = (
  device: DeviceName,
  before: Uint8Array,
  verdict: XdpAction,
  after: Uint8Array,
) => string | undefined;

/** A judge for a gateway with this table; it says what is wrong, or nothing. */
export function judgeOf(table: ForwardingTable): Judge {
  const rules = rulesOf(table);
  return (device, before, verdict, after) => {
    if (verdict === 'XDP_ABORTED' || verdict === 'XDP_DROP') return `${verdict}: nothing is ever dropped`;
    if (Buffer.compare(before, after) === 0) {
      return verdict === 'XDP_PASS' ? undefined : `${verdict}, and not one byte is changed`;
    }
    const one = dissect(before);
    const inner = unwrapped(after);
    if (
      inner !== undefined &&
      one.fields.length > 0 &&
      inner.frame.length === before.length - taggedBy(before)
    ) {
      return encapsulated(one, dissect(inner.frame)) ?? memberOf(table, one, inner.machine);
    }
    const other = dissect(after);
    return (
      wire(device, one, other, verdict) ??
      fields(one, other, verdict === 'XDP_PASS' ? 0 : 1) ??
      sums(one, other) ??
      rules(one, other)
    );
  };
}

/** How the frame came and goes. */
function wire(
  device: DeviceName,
  one: Dissection,
  other: Dissection,
  verdict: XdpAction,
): string | undefined {
  const { mac, tags }: Device = devices[device];
  if (device === 'apart') return 'changed on an interface where the program has no business';
  if (text(one, 'ethernet.destination') !== mac) return 'changed, and it was not for this gateway';
  if (verdict === 'XDP_PASS') {
    if (text(other, 'ethernet.source') !== mark) return 'changed, passed up and not marked';
    return linkOf(one, false) === linkOf(other, false)
      ? undefined
      : 'a marked frame has other tags or another receiver';
  }
  const receiver = neighbours.find((each) => macOf(each) === text(other, 'ethernet.destination'));
  if (receiver === undefined) return `sent to ${text(other, 'ethernet.destination')}, who is nobody`;
  const out = hopTo(receiver).device;
  if (text(other, 'ethernet.source') !== devices[out].mac) return `sent as ${text(other, 'ethernet.source')}`;
  const carried = devices[out].tags.map(({ protocol, id }) => `${hex(protocol)} ${hex(id)}`).join(' ');
  if (tagsOf(other) !== carried) return `sent with the tags ${tagsOf(other)} instead of ${carried}`;
  if (tags.length > 0) return `${device} is no interface of its own`;
  const back = physicalOf(out) === device;
  return back === (verdict === 'XDP_TX') ? undefined : `${verdict} towards ${out}, received by ${device}`;
}

const translated =
  /^(inner\.)?(ip\.(source|destination|checksum)|(tcp|udp)\.(source port|destination port|checksum))$/;

/** Nothing but what translation and routing change may differ. */
function fields(one: Dissection, other: Dissection, hops: number): string | undefined {
  const [before, after] = [above(one), above(other)];
  if (before.length !== after.length) return 'the packet has other headers';
  for (const [index, field] of before.entries()) {
    const now = after[index];
    if (now === undefined || now.name !== field.name || now.bytes.length !== field.bytes.length) {
      return `${field.name} has become ${now?.name}`;
    }
    if (field.name === 'ip.ttl') {
      const ttl = field.bytes[0] ?? 0;
      if (ttl < 2 || now.bytes[0] !== ttl - hops) return `TTL ${ttl} has become ${now.bytes[0]}`;
      continue;
    }
    if (field.name === 'icmp.checksum' || translated.test(field.name)) continue;
    if (Buffer.compare(field.bytes, now.bytes) !== 0) return `${field.name} has changed`;
  }
  return undefined;
}

/** What was right stays right, what was wrong stays as wrong, and what was left out stays so. */
function sums(one: Dissection, other: Dissection): string | undefined {
  for (const [index, checksum] of one.checksums.entries()) {
    const now = other.checksums[index];
    if (checksum.sum !== now?.sum)
      return `the ${checksum.name} checksum sums up to ${now?.sum}, before to ${checksum.sum}`;
  }
  return undefined;
}

/** What is within another packet, without tags, and to whom the outer one goes. */
function unwrapped(frame: Uint8Array): { readonly frame: Uint8Array; readonly machine: string } | undefined {
  const l3 = 14 + taggedBy(frame);
  const version = (frame[l3] ?? 0) >> 4;
  const [length, protocol, address] =
    version === 4
      ? [20, frame[l3 + 9], frame.subarray(l3 + 16, l3 + 20)]
      : [40, frame[l3 + 6], frame.subarray(l3 + 24, l3 + 40)];
  if (protocol !== (version === 4 ? 4 : 41)) return undefined;
  const link = [...frame.subarray(0, 12), ...frame.subarray(l3 - 2, l3)];
  return {
    frame: Uint8Array.of(...link, ...frame.subarray(l3 + length)),
    machine: addressText(address),
  };
}

/** Bytes of tags. */
function taggedBy(frame: Uint8Array): number {
  const isTag = (at: number): boolean =>
    (frame[at] === 0x81 && frame[at + 1] === 0) || (frame[at] === 0x88 && frame[at + 1] === 0xa8);
  return isTag(12) ? (isTag(16) ? 8 : 4) : 0;
}

/** The packet within is the one that came, a hop further, perhaps with another port. */
function encapsulated(one: Dissection, inner: Dissection): string | undefined {
  for (const side of ['source', 'destination']) {
    if (text(one, `ip.${side}`) !== text(inner, `ip.${side}`)) return `the inner ${side} has changed`;
  }
  return fields(one, inner, 1) ?? sums(one, inner);
}

/** Whether a rule whose destination stays leads to this machine by this address. */
function memberOf(table: ForwardingTable, one: Dissection, machine: string): string | undefined {
  const front = text(one, 'ip.destination');
  for (const { rules, rings } of table.loadBalancers.values()) {
    for (const { entries } of rules.values()) {
      for (const { endpoint, target } of entries.values()) {
        if (endpoint.address !== front || target.kind !== 'balanced' || target.floating === undefined)
          continue;
        const ring = [...rings.values()].find(({ number }) => number === target.ring);
        if (ring?.members.some(({ address }) => address === machine)) return undefined;
      }
    }
  }
  return `${front} keeps its address, and does not lead to ${machine}`;
}

type Rules = (one: Dissection, other: Dissection) => string | undefined;

/** Who may be translated to whom. */
function rulesOf(table: ForwardingTable): Rules {
  const entries = new Map<string, Entry>();
  const rings = new Map<number, Ring>();
  for (const loadBalancer of table.loadBalancers.values()) {
    for (const rule of loadBalancer.rules.values())
      for (const [key, entry] of rule.entries) entries.set(key, entry);
    for (const ring of loadBalancer.rings.values()) rings.set(ring.number, ring);
  }
  const entryFor = (address: string, port: number, transport: 'tcp' | 'udp'): Entry | undefined => {
    const at = (wanted: number) =>
      entries.get(endpointKey({ address: ip(address), transport, port: wanted }));
    return at(port) ?? at(0);
  };
  /** Undefined: a flow through this endpoint may well be with this machine. */
  const leads = (
    transport: 'tcp' | 'udp',
    [front, frontPort]: Place,
    [machine, machinePort]: Place,
  ): string | undefined => {
    const entry = entryFor(front, frontPort, transport);
    const where = `${transport} ${front} port ${frontPort} and ${machine} port ${machinePort}`;
    if (entry === undefined) return `no rule for ${where}`;
    if (entry.target.masquerade) return `not ours to translate: ${where}`;
    if ((entry.target.port || frontPort) !== machinePort) return `wrong port: ${where}`;
    if (entry.target.kind === 'nat')
      return entry.target.address === machine ? undefined : `wrong machine: ${where}`;
    const ring = rings.get(entry.target.ring);
    return ring?.members.some(({ address }) => address === machine) ? undefined : `no member: ${where}`;
  };
  const fragment = (one: Dissection, other: Dissection): string | undefined => {
    const machine = text(one, 'ip.source');
    const front = text(other, 'ip.source');
    if (text(one, 'ip.destination') !== text(other, 'ip.destination')) return 'a later fragment goes inward';
    const known = [...entries.values()].some(({ endpoint }) => endpoint.address === front);
    return known && table.backends.has(ip(machine))
      ? undefined
      : `a fragment from ${machine} comes from ${front}`;
  };
  const packet = (
    one: Dissection,
    other: Dissection,
    transport: 'tcp' | 'udp',
    prefix: string,
  ): string | undefined => {
    const [from, to] = ends(one, transport, prefix);
    const [fromNow, toNow] = ends(other, transport, prefix);
    if (from[0] === fromNow[0] && to[0] === toNow[0]) {
      const receiver = neighbours.find((each) => macOf(each) === text(other, 'ethernet.destination'));
      return memberOf(table, one, receiver ?? 'nobody');
    }
    const inward = prefix === '' ? to[0] !== toNow[0] : from[0] === fromNow[0];
    if (inward) {
      if (from[0] !== fromNow[0]) return 'both addresses have changed';
      return prefix === '' ? leads(transport, to, toNow) : leads(transport, toNow, to);
    }
    if (to[0] !== toNow[0]) return 'both addresses have changed';
    return prefix === '' ? leads(transport, fromNow, from) : leads(transport, from, fromNow);
  };
  return (one, other) => {
    const inner = one.fields.some(({ name }) => name === 'inner.ip.ttl') ? 'inner.' : '';
    for (const transport of ['tcp', 'udp'] as const) {
      if (one.fields.some(({ name }) => name === `${inner}${transport}.source port`)) {
        return packet(one, other, transport, inner);
      }
    }
    return fragment(one, other);
  };
}

type Place = readonly [address: string, port: number];

function ends(of: Dissection, transport: string, prefix: string): readonly [Place, Place] {
  const port = (side: string): number =>
    find(of, `${prefix}${transport}.${side} port`).bytes.reduce((value, byte) => value * 256 + byte, 0);
  return [
    [text(of, `${prefix}ip.source`), port('source')],
    [text(of, `${prefix}ip.destination`), port('destination')],
  ];
}

function above({ fields }: Dissection): readonly Field[] {
  return fields.filter(({ name }) => !/^(ethernet|tag)/.test(name));
}

/** Ethernet addresses and tags in one line. */
function linkOf(of: Dissection, withSource: boolean): string {
  const source = withSource ? text(of, 'ethernet.source') : '';
  return `${source} ${text(of, 'ethernet.destination')} ${tagsOf(of)}`;
}

function tagsOf({ fields }: Dissection): string {
  const words = fields.filter(({ name }) => /^(ethernet\.type|tag)/.test(name));
  return words
    .slice(0, -1)
    .map(({ bytes }) => Buffer.from(bytes).toString('hex'))
    .join(' ');
}

function hex(value: number): string {
  return value.toString(16).padStart(4, '0');
}

function text(of: Dissection, name: string): string {
  const { bytes } = find(of, name);
  if (bytes.length === 6) return macText(bytes);
  return addressText(bytes);
}

function find({ fields }: Dissection, name: string): Field {
  const field = fields.find((each) => each.name === name);
  if (field === undefined) throw new Error(`the frame has no ${name}`);
  return field;
}
