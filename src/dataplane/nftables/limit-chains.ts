// The chains and sets of limits, constant but for those of ranges. Only endpoints that have limits lead here, by their element
// of `idle4`: what new flows of others meet stays as it is.
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import type { Family } from '../../resources/address.ts';
import type { Element } from './element.ts';

/** The chain that new flows to an endpoint with limits go through. */
export function limitedChain(family: Family): string {
  return `limited${family}`;
}

/**
 * The ranges of all rules are kept in so many sets, by the limit's number. To take a range out of a set, the kernel compares it
 * with those that came before it (net/netfilter/nft_set_pipapo.c, nft_pipapo_remove): 1,000 of 10,000 took 15 s.
 */
const rangeSets = 32;
const rangePrefix = 'allowed';

/** The set that holds the ranges of a limit, and the chain of the same name that reads it. Both are made on demand. */
export function rangeSet(family: Family, number: number): string {
  return `${rangePrefix}${family}_${number % rangeSets}`;
}

export function isRangeSet(set: string): boolean {
  return set.startsWith(rangePrefix);
}

/** Those that limits need. */
export function* rangeSetsOf(limits: Iterable<FlowLimit>): Generator<string> {
  for (const { family, number, allowed } of limits) if (allowed.length > 0) yield rangeSet(family, number);
}

/** The element by which limits find the chain: the number of its set. */
export function rangeSetElement(name: string): Element {
  const [family, index] = partsOf(name);
  return { set: rangesMap(family), key: [index], value: { jump: name } };
}

export function rangeSetAddition(table: string, name: string): string {
  const [family, index] = partsOf(name);
  const [address, ip] = family === 4 ? ['ipv4_addr', 'ip'] : ['ipv6_addr', 'ip6'];
  return [
    `add set inet ${table} ${name} { type classid . ${address}; flags interval; }`,
    `add chain inet ${table} ${name}`,
    `flush chain inet ${table} ${name}`,
    `add rule inet ${table} ${name} meta priority . ${ip} saddr != @${name} goto refuse_client`,
    `add element inet ${table} ${rangesMap(family)} { ${index} : jump ${name} }`,
  ].join('; ');
}

export function rangeSetRemoval(table: string, name: string): string {
  const [family, index] = partsOf(name);
  return [
    `delete element inet ${table} ${rangesMap(family)} { ${index} }`,
    `flush chain inet ${table} ${name}`,
    `delete chain inet ${table} ${name}`,
    `delete set inet ${table} ${name}`,
  ].join('; ');
}

function rangesMap(family: Family): string {
  return `ranges${family}`;
}

function partsOf(name: string): readonly [family: Family, index: number] {
  const [family, index] = name.slice(rangePrefix.length).split('_');
  return [family === '4' ? 4 : 6, Number(index)];
}

/** Sets whose elements the rules themselves add and the kernel takes away: their number says nothing. */
export const passingSets: ReadonlySet<string> = new Set(['full']);

/**
 * Once a rule is full, its new flows are refused for so long without counting its flows again: the kernel walks through all
 * of them for that, and a flood would have it do nothing else.
 */
const fullFor = '100ms';

interface LimitSet {
  readonly kind: 'set' | 'map';
  readonly name: string;
  readonly type: string;
  readonly counted: boolean;
  /** What else the definition says. */
  readonly more?: string;
}

/** By the limit's number, which is kept in `meta priority` meanwhile: `classid` is the type of that. */
export const limitSets: readonly LimitSet[] = [
  { kind: 'set', name: 'restricted', type: 'classid', counted: false },
  // The limits here only tell nft what an element may have; each has its own.
  {
    kind: 'set',
    name: 'rate',
    type: 'classid',
    counted: false,
    more: 'limit rate over 1/second burst 1 packets;',
  },
  { kind: 'set', name: 'concurrent', type: 'classid', counted: false, more: 'ct count over 1;' },
  { kind: 'set', name: 'full', type: 'classid', counted: false, more: 'flags dynamic,timeout;' },
  { kind: 'set', name: 'refused_client', type: 'classid', counted: true },
  { kind: 'set', name: 'refused_rate', type: 'classid', counted: true },
  { kind: 'set', name: 'refused_concurrent', type: 'classid', counted: true },
];

/** `endpoint` and `anyPort` are the types of keys. */
export function familyLimitSets(family: Family, endpoint: string, anyPort: string): readonly LimitSet[] {
  return [
    { kind: 'map', name: `limit${family}`, type: `${endpoint} : classid`, counted: false },
    { kind: 'map', name: `limit_any${family}`, type: `${anyPort} : classid`, counted: false },
    { kind: 'map', name: rangesMap(family), type: 'classid : verdict', counted: false },
  ];
}

interface LimitChain {
  readonly name: string;
  readonly rules: readonly string[];
}

/**
 * `through` and `throughAny` are the keys of a flow's endpoint. `meta priority` is free until the slot of a balanced flow is
 * written there.
 */
export function limitedRules(family: Family, through: string, throughAny: string): LimitChain {
  return {
    name: limitedChain(family),
    rules: [
      `meta priority set ${throughAny} map @limit_any${family}`,
      `meta l4proto { tcp, udp } meta priority set ${through} map @limit${family}`,
      `meta priority @restricted meta priority & ${rangeSets - 1} vmap @${rangesMap(family)}`,
      'meta priority @rate goto refuse_rate',
      'meta priority @full goto refuse_concurrent',
      'meta priority @concurrent goto fill',
      'meta priority set 0',
    ],
  };
}

/** Before the chains that go here. The element counts; the second rule is for a limit that goes meanwhile. */
export const refusingChains: readonly LimitChain[] = [
  { name: 'refuse_client', rules: ['meta priority @refused_client drop', 'drop'] },
  { name: 'refuse_rate', rules: ['meta priority @refused_rate drop', 'drop'] },
  { name: 'refuse_concurrent', rules: ['meta priority @refused_concurrent drop', 'drop'] },
  {
    name: 'fill',
    rules: [`add @full { meta priority timeout ${fullFor} }`, 'goto refuse_concurrent'],
  },
];
