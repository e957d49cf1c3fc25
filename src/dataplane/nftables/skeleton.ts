// The constant part of the ruleset: sets, maps and the rules that read them. See README.md for the way of a packet.
import { groupOf, ringNumber } from '../../forwarding/ring-numbers.ts';
import type { Affinity, RingSize } from '../../forwarding/table.ts';
import type { Family } from '../../resources/address.ts';
import { familyLimitSets, limitedRules, limitSets, refusingChains } from './limit-chains.ts';

export const tableName = 'penstock';

/**
 * The top byte of a flow's ct mark. All of Penstock's have 5 in the top nibble. The low 24 bits of the balanced ones
 * are the number of the ring that chose the machine, of which only the group counts afterwards; the two low bits of the top
 * byte are the affinity. The low 16 bits of the outbound ones are the first of the machine's ports.
 */
export const flowClass = {
  nat: 0x50,
  natAnyPort: 0x51,
  balanced: 0x54,
  balancedAnyPort: 0x58,
  outbound: 0x5c,
} as const;

/** Added to the class of a balanced flow. */
export const affinityNumber: Readonly<Record<Affinity, number>> = {
  'five-tuple': 0,
  'client-ip': 1,
  'client-ip-protocol': 2,
};

export const affinities: readonly Affinity[] = ['five-tuple', 'client-ip', 'client-ip-protocol'];
export const ringSizes: readonly RingSize[] = [1021, 16381, 65537];

/** Of every jhash, so that each gateway, and each load of the ruleset, chooses alike. */
export const hashSeed = '0x50656e73';

/** The chain that writes a flow's slot, for one way to hash, size of ring and family. */
export function hashChain(affinity: Affinity, size: RingSize, family: Family): string {
  return `${affinity.replaceAll('-', '_')}_${size}_${family}`;
}

/** Rules that are not in the text, see outbound-rule.ts. */
const outboundRules = 1;

export interface SetDefinition {
  readonly kind: 'map' | 'set';
  readonly name: string;
  readonly type: string;
  readonly counted: boolean;
  /** What else the definition says, such as flags. */
  readonly more?: string;
}

export interface ChainDefinition {
  readonly name: string;
  readonly hook?: string;
  readonly rules: readonly string[];
}

/** Holds one element: shape version → instance, sequence and revision. Absent until the first load is complete. */
const stampMap: SetDefinition = { kind: 'map', name: 'stamp', type: 'mark : ipv6_addr', counted: false };

/** The transport protocols that are looked at: both, or none while a first load is on its way. */
const gateSet: SetDefinition = { kind: 'set', name: 'gate', type: 'inet_proto', counted: false };

/** Every set and map, in the order of definition, but for those that are made on demand. */
export const setDefinitions: readonly SetDefinition[] = [
  stampMap,
  gateSet,
  ...limitSets,
  ...familySets(4),
  ...familySets(6),
];

const chains: readonly ChainDefinition[] = [
  ...refusingChains,
  ...familyChains(4),
  ...familyChains(6),
  ...hookChains(),
];

/** How many rules the kernel lists while nobody has touched them. */
export const ruleCount = chains.reduce((sum, chain) => sum + chain.rules.length, outboundRules);

/** The whole ruleset without elements, as `nft -f` reads it. Text, because nft 1.0.6 cannot make these maps from JSON. */
export function skeletonText(table: string): string {
  const lines = [`table inet ${table} {`];
  for (const set of setDefinitions) {
    const more = `${set.counted ? ' counter;' : ''}${set.more ? ` ${set.more}` : ''}`;
    lines.push(`  ${set.kind} ${set.name} { type ${set.type};${more} }`);
  }
  for (const chain of chains) {
    lines.push(`  chain ${chain.name} {`);
    if (chain.hook !== undefined) lines.push(`    type ${chain.hook}; policy accept;`);
    for (const rule of chain.rules) lines.push(`    ${rule}`);
    lines.push('  }');
  }
  lines.push('}', '');
  return lines.join('\n');
}

function familySets(family: Family): readonly SetDefinition[] {
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const endpoint = `${address} . inet_proto . inet_service`;
  const anyPort = `${address} . inet_proto`;
  const map = (name: string, type: string, counted = false): SetDefinition => ({
    kind: 'map',
    name: `${name}${family}`,
    type,
    counted,
  });
  const set = (name: string, type: string, counted = false): SetDefinition => ({
    kind: 'set',
    name: `${name}${family}`,
    type,
    counted,
  });
  return [
    map('nat', `${endpoint} : ${address} . inet_service`, true),
    map('nat_any', `${anyPort} : ${address}`, true),
    set('nat_live', `${endpoint} . ${address} . inet_service`, true),
    set('nat_any_live', `${anyPort} . ${address}`, true),
    map('front', `${endpoint} : mark`, true),
    map('front_any', `${anyPort} : mark`, true),
    map('front_live', `mark . ${endpoint} . inet_service : classid`, true),
    map('front_any_live', `mark . ${anyPort} : classid`, true),
    map('port', `${endpoint} : inet_service`),
    map('ring', `mark . classid : ${address}`),
    map('ring_hash', 'mark : verdict'),
    set('ring_live', `classid . ${address} . inet_proto`),
    map('idle', `${endpoint} : verdict`),
    map('idle_any', `${anyPort} : verdict`),
    set('masq', endpoint),
    set('masq_any', anyPort),
    set('backends', address),
    map('outbound_source', `${anyPort} : interval ${address} . inet_service`),
    map('outbound_mark', `${anyPort} : mark`, true),
    set('outbound_live', `${anyPort} . ${address} . mark`, true),
    set('outbound_machines', anyPort),
    ...familyLimitSets(family, endpoint, anyPort),
  ];
}

function familyChains(family: Family): readonly ChainDefinition[] {
  const ip = family === 4 ? 'ip' : 'ip6';
  const f = family;
  const knocked = `${ip} daddr . meta l4proto . th dport`;
  const knockedAny = `${ip} daddr . meta l4proto`;
  const through = `ct original ${ip} daddr . ct original protocol . ct original proto-dst`;
  const throughAny = `ct original ${ip} daddr . ct original protocol`;
  const backend = `ct reply ${ip} saddr`;
  // Which ring an endpoint leads to by now, of the group that the flow came by; and none to those who read it next.
  const pool = `ct mark & 0x${ringNumber(groupOf(0xffffff), 0).toString(16).padStart(8, '0')}`;
  const isLive = `meta priority . ${backend} . ct original protocol @ring_live${f} meta priority set none accept`;
  // Without it nft 1.0.6 does not know the type of a port.
  const hasPorts = 'meta l4proto { tcp, udp }';
  // An ICMP error carries the mark of the flow it is about, but has no ports. Where ports are asked for, errors come last,
  // so that no other packet is asked twice what it is.
  const passErrors = 'meta l4proto { icmp, icmpv6 } accept';
  // What a helper expects (the data of FTP, say) has its master's mark and translation, but an endpoint of its own.
  const cut = 'ct status & (dnat | expected) == dnat drop';
  return [
    ...ringSizes.flatMap((size) => [
      hashing('five-tuple', size, f, `${ip} saddr . th sport . ${ip} daddr . th dport . meta l4proto`),
      hashing('client-ip', size, f, `${ip} saddr . ${ip} daddr`),
      hashing('client-ip-protocol', size, f, `${ip} saddr . ${ip} daddr . meta l4proto`),
    ]),
    limitedRules(f, through, throughAny),
    {
      name: `balanced${f}`,
      rules: [
        `${hasPorts} ${knocked} vmap @idle${f}`,
        `ct mark & 0x03ffffff vmap @ring_hash${f}`,
        `${hasPorts} dnat ${ip} to ct mark & 0x00ffffff . meta priority map @ring${f} : ${knocked} map @port${f}`,
        'drop',
      ],
    },
    {
      name: `balanced_any${f}`,
      rules: [
        `${knockedAny} vmap @idle_any${f}`,
        `ct mark & 0x03ffffff vmap @ring_hash${f}`,
        `dnat ${ip} to ct mark & 0x00ffffff . meta priority map @ring${f}`,
        'drop',
      ],
    },
    {
      name: `classify${f}`,
      rules: [
        `${hasPorts} dnat ${ip} to ${knocked} map @nat${f}`,
        `ct mark set ${knocked} map @front${f} goto balanced${f}`,
        `dnat ${ip} to ${knockedAny} map @nat_any${f}`,
        `ct mark set ${knockedAny} map @front_any${f} goto balanced_any${f}`,
      ],
    },
    {
      name: `live_nat${f}`,
      rules: [
        `${hasPorts} ${through} . ${backend} . ct reply proto-src @nat_live${f} accept`,
        passErrors,
        cut,
      ],
    },
    {
      name: `live_nat_any${f}`,
      rules: [passErrors, `${throughAny} . ${backend} @nat_any_live${f} accept`, cut],
    },
    {
      name: `live_balanced${f}`,
      rules: [
        `${hasPorts} meta priority set ${pool} . ${through} . ct reply proto-src map @front_live${f} ${isLive}`,
        passErrors,
        cut,
      ],
    },
    {
      name: `live_balanced_any${f}`,
      rules: [passErrors, `meta priority set ${pool} . ${throughAny} map @front_any_live${f} ${isLive}`, cut],
    },
    {
      name: `begun${f}`,
      rules: [
        `${hasPorts} ${through} vmap @idle${f}`,
        `${hasPorts} ${through} . ${backend} . ct reply proto-src @nat_live${f} ct mark set ${byte(flowClass.nat)} accept`,
        `${throughAny} vmap @idle_any${f}`,
        `${throughAny} . ${backend} @nat_any_live${f} ct mark set ${byte(flowClass.natAnyPort)} accept`,
      ],
    },
    {
      name: `masquerade${f}`,
      rules: [
        `${ip} saddr @backends${f} masquerade`,
        `ct mark & 0xff000000 vmap { ${classes(`masquerade_port${f}`, `masquerade_any${f}`).join(', ')} }`,
      ],
    },
    {
      name: `live_outbound${f}`,
      rules: [
        `ct original ${ip} saddr . ct original protocol . ct reply ${ip} daddr . ct mark @outbound_live${f} accept`,
        passErrors,
        'ct status & (snat | expected) == snat drop',
      ],
    },
    {
      name: `outbound${f}`,
      rules: [
        `${ip} saddr . meta l4proto != @outbound_machines${f} return`,
        // Machines of this gateway meet each other as they are.
        `${ip} daddr @backends${f} return`,
        `${ip} daddr . meta l4proto @outbound_machines${f} return`,
        `ct mark set ${ip} saddr . meta l4proto map @outbound_mark${f} goto outbound_snat${f}`,
      ],
    },
    {
      name: `outbound_snat${f}`,
      // Of IPv6 there is a rule before the last, see outbound-rule.ts.
      rules: [
        ...(f === 4 ? [`${hasPorts} snat ip to ip saddr . meta l4proto map @outbound_source4`] : []),
        'drop',
      ],
    },
    { name: `masquerade_port${f}`, rules: [`${hasPorts} ${through} @masq${f} masquerade`] },
    { name: `masquerade_any${f}`, rules: [`${throughAny} @masq_any${f} masquerade`] },
  ];
}

/** What becomes of each class of flows; those of balanced rules go the same way as NAT's unless something else is said. */
function classes(
  port: string,
  anyPort: string,
  balanced = port,
  balancedAnyPort = anyPort,
): readonly string[] {
  return [
    `${byte(flowClass.nat)} : goto ${port}`,
    `${byte(flowClass.natAnyPort)} : goto ${anyPort}`,
    ...affinities.flatMap((affinity) => [
      `${byte(flowClass.balanced + affinityNumber[affinity])} : goto ${balanced}`,
      `${byte(flowClass.balancedAnyPort + affinityNumber[affinity])} : goto ${balancedAnyPort}`,
    ]),
  ];
}

export function hashing(affinity: Affinity, size: RingSize, family: Family, fields: string): ChainDefinition {
  return {
    name: hashChain(affinity, size, family),
    rules: [`meta priority set jhash ${fields} mod ${size} seed ${hashSeed}`],
  };
}

function hookChains(): readonly ChainDefinition[] {
  const classify = 'meta l4proto @gate meta nfproto vmap { ipv4 : goto classify4, ipv6 : goto classify6 }';
  const live = ([4, 6] as const).flatMap((f) =>
    [
      ...classes(`live_nat${f}`, `live_nat_any${f}`, `live_balanced${f}`, `live_balanced_any${f}`),
      `${byte(flowClass.outbound)} : goto live_outbound${f}`,
    ].map((each) => `ipv${f} . ${each}`),
  );
  // Every packet comes here, most of them not ours: one look-up tells both family and class.
  const guard = [
    `meta nfproto . ct mark & 0xff000000 vmap { ${live.join(', ')} }`,
    'ct state != new return',
    'ct status & dnat == 0 return',
    'meta nfproto vmap { ipv4 : goto begun4, ipv6 : goto begun6 }',
  ];
  return [
    // The usual places of destination NAT, so that a foreign chain can be put before or after it as for any other.
    { name: 'prerouting', hook: 'nat hook prerouting priority -100', rules: [classify] },
    { name: 'output', hook: 'nat hook output priority -100', rules: [classify] },
    // Right after the translation is chosen and before routing; a foreign filter (0) sees only what passes.
    // What the host sends to itself has been seen in `output` already.
    {
      name: 'guard_prerouting',
      hook: 'filter hook prerouting priority -90',
      rules: ['iif lo return', ...guard],
    },
    { name: 'guard_output', hook: 'filter hook output priority -90', rules: guard },
    {
      name: 'postrouting',
      hook: 'nat hook postrouting priority 100',
      rules: [
        'ct mark & 0xf0000000 == 0x50000000 ct status dnat ' +
          'meta nfproto vmap { ipv4 : goto masquerade4, ipv6 : goto masquerade6 }',
        'ct status & dnat == 0 meta l4proto @gate meta nfproto vmap { ipv4 : goto outbound4, ipv6 : goto outbound6 }',
      ],
    },
  ];
}

function byte(top: number): string {
  return `0x${top.toString(16)}000000`;
}
