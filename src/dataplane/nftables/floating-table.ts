// Floating addresses: the packet goes to the member as it is, and its answers do not come by. Conntrack, which wants to
// see both directions, has no part in it; so each family has a table of its own (`dup` is not to be had in inet ones), which
// stands only while rules ask for it. See README.md, "Floating addresses".
import type { Family } from '../../resources/address.ts';
import { hashing, ringSizes } from './skeleton.ts';

export const floatingTableName = 'penstock_floating';

/** The top nibble of a mark that a packet has between here and the wire; the low 26 bits are affinity and ring. */
export const floatingMark = 0x50;
/** Besides: only a data plane that encapsulates can send it on. */
export const encapsulatedMark = 0x58;

/** Seconds for which a flow keeps its member in silence. */
const memory = 240;
/** Flows remembered; about 100 bytes each. Further ones follow the ring as it is. */
const remembered = 262_144;
/** Of the hash by which a flow is remembered. Two flows that share it share the member of the first, which does no harm. */
const memorySeed = '0x666c6f77';
/** Of the memory's hash, which need not fit a ring. */
const memorySize = 4_294_967_295;

interface FloatingChain {
  readonly name: string;
  readonly hook?: string;
  readonly rules: readonly string[];
}

/** All but the one that packets write. */
export function floatingSets(
  family: Family,
): readonly { readonly kind: 'map' | 'set'; readonly name: string }[] {
  return setTexts(family).map(([name, [kind]]) => ({ kind, name }));
}

export function isFloatingSet(set: string): boolean {
  return set.startsWith('float');
}

/** nft's name of the family, and the table. */
export function tableOfFloatingSet(set: string): { readonly family: 'ip' | 'ip6'; readonly name: string } {
  return { family: set.endsWith('4') ? 'ip' : 'ip6', name: floatingTableName };
}

/** How many rules the kernel lists of a family's table while nobody has touched it. */
export function floatingRuleCount(family: Family): number {
  return chains(family).reduce((sum, { rules }) => sum + rules.length, 0);
}

/** Both tables, empty, in place of what stands. */
export function floatingText(): string {
  return ([4, 6] as const).map((family) => floatingRemoval(family) + floatingTableText(family)).join('');
}

/** Takes both tables away, if they stand. */
export function floatingRemovalText(): string {
  return ([4, 6] as const).map(floatingRemoval).join('');
}

function floatingRemoval(family: Family): string {
  const table = `table ${nftFamily(family)} ${floatingTableName}`;
  return `add ${table}\ndelete ${table}\n`;
}

function floatingTableText(family: Family): string {
  const lines = [`table ${nftFamily(family)} ${floatingTableName} {`];
  for (const [name, [kind, what]] of setTexts(family)) lines.push(`  ${kind} ${name} { ${what} }`);
  lines.push(
    `  map flows${family} { type classid : classid; size ${remembered}; flags dynamic,timeout; timeout ${memory}s; }`,
  );
  for (const { name, hook, rules } of chains(family)) {
    lines.push(`  chain ${name} {`);
    if (hook !== undefined) lines.push(`    type ${hook}; policy accept;`);
    for (const rule of rules) lines.push(`    ${rule}`);
    lines.push('  }');
  }
  lines.push('}', '');
  return lines.join('\n');
}

function setTexts(
  f: Family,
): readonly (readonly [name: string, text: readonly [kind: 'map' | 'set', what: string]])[] {
  const address = f === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const endpoint = `${address} . inet_proto . inet_service`;
  const anyPort = `${address} . inet_proto`;
  return [
    [`float${f}`, ['map', `type ${endpoint} : mark; counter;`]],
    [`float_any${f}`, ['map', `type ${anyPort} : mark; counter;`]],
    [`float_begun${f}`, ['set', `type ${endpoint}; counter;`]],
    [`float_any_begun${f}`, ['set', `type ${anyPort}; counter;`]],
    [`float_port${f}`, ['map', `type ${endpoint} : inet_service;`]],
    [`float_hash${f}`, ['map', 'type mark : verdict;']],
    [`float_slot${f}`, ['map', 'type mark . classid : classid;']],
    [`float_member${f}`, ['map', `type mark . classid . inet_proto : ${address};`]],
    // The same keys: up to Linux 6.1 nobody can ask whether a map has one.
    [`float_live${f}`, ['set', 'type mark . classid . inet_proto;']],
  ];
}

function chains(f: Family): readonly FloatingChain[] {
  const ip = nftFamily(f);
  const knocked = `${ip} daddr . meta l4proto . th dport`;
  const fields = `${ip} saddr . th sport . ${ip} daddr . th dport . meta l4proto`;
  const flow = `jhash ${fields} mod ${memorySize} seed ${memorySeed}`;
  const hasPorts = 'meta l4proto { tcp, udp }';
  const member = 'meta mark & 0x00ffffff . meta priority . meta l4proto';
  const slot = 'meta priority set meta mark & 0x00ffffff . meta priority';
  const hash = `meta mark & 0x03ffffff vmap @float_hash${f}`;
  return [
    ...hashChains(f),
    {
      name: `send${f}`,
      rules: [
        `${hasPorts} update @flows${f} { ${flow} : meta priority }`,
        `tcp dport set ${ip} daddr . meta l4proto . tcp dport map @float_port${f}`,
        // A datagram without a checksum stays without.
        `udp checksum != 0 udp dport set ${ip} daddr . meta l4proto . udp dport map @float_port${f}`,
        `udp checksum 0 @th,16,16 set ${ip} daddr . meta l4proto . udp dport map @float_port${f}`,
        `dup to ${member} map @float_member${f}`,
        'drop',
      ],
    },
    {
      name: `begin${f}`,
      rules: [
        `${hasPorts} ${knocked} @float_begun${f} goto send${f}`,
        `${ip} daddr . meta l4proto @float_any_begun${f} goto send${f}`,
        `goto send${f}`,
      ],
    },
    {
      // A SYN is of a new flow, although the memory may know its ports: it goes to a member that gets new flows.
      name: `known${f}`,
      rules: [
        `tcp flags & (fin | syn | rst | ack) != syn ${member} @float_live${f} goto send${f}`,
        `meta l4proto udp ${member} @float_live${f} goto send${f}`,
        hash,
        `${slot} map @float_slot${f} goto send${f}`,
        'drop',
      ],
    },
    {
      name: `float${f}`,
      rules: [
        'meta mark & 0x08000000 != 0 drop',
        `${hasPorts} meta priority set ${flow}`,
        `meta priority set meta priority map @flows${f} goto known${f}`,
        hash,
        `${slot} map @float_slot${f} goto begin${f}`,
        'drop',
      ],
    },
    {
      // Before conntrack, which shall not know of it.
      name: 'prerouting_port',
      hook: 'filter hook prerouting priority -300',
      rules: [`${hasPorts} meta mark set ${knocked} map @float${f} goto float${f}`],
    },
    {
      // After destination NAT, so that all rules for one port come before those for every port. What conntrack makes of a
      // first packet, it forgets when the packet is dropped here.
      name: 'prerouting_any',
      hook: 'filter hook prerouting priority -90',
      rules: [
        'ct status & dnat != 0 return',
        // To what this host has begun itself: the address is its own as well.
        'ct direction reply return',
        `${hasPorts} meta mark set ${ip} daddr . meta l4proto map @float_any${f} goto float${f}`,
      ],
    },
    {
      // The duplicate leaves as if it came from the host itself; nobody shall take our scratch values for his.
      name: 'output',
      hook: 'filter hook output priority -300',
      rules: ['ct state untracked meta mark & 0xf0000000 == 0x50000000 meta priority set 0 meta mark set 0'],
    },
  ];
}

function hashChains(family: Family): readonly FloatingChain[] {
  const ip = nftFamily(family);
  return ringSizes.flatMap((size) => [
    hashing('five-tuple', size, family, `${ip} saddr . th sport . ${ip} daddr . th dport . meta l4proto`),
    hashing('client-ip', size, family, `${ip} saddr . ${ip} daddr`),
    hashing('client-ip-protocol', size, family, `${ip} saddr . ${ip} daddr . meta l4proto`),
  ]);
}

function nftFamily(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}
