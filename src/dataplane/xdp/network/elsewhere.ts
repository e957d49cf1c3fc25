// Which addresses may lie behind interfaces where the program does not run. Pure: from a reading of the network.
//
// Answers from there would come past the program, so nftables translates both directions of such flows. The program asks
// the FIB about these addresses: a prefix too many costs time, one too few costs flows.
import { familyOf } from '../../../resources/address.ts';
import { mappedBits, mappedNumber } from './bytes.ts';
import { type Link, type Network, type Route, table } from './model.ts';
import { common, contains, isFour, type Prefix, prefixOf } from './prefix.ts';

export interface Elsewhere {
  /** At most `elsewhereMax`. */
  readonly prefixes: readonly Prefix[];
  /** All addresses may. */
  readonly all: boolean;
  /** Names of those interfaces that routes lead over. */
  readonly names: readonly string[];
}

/** ELSEWHERE_MAX of bpf/abi.h. */
export const elsewhereMax = 4;
/** Above, the search for what lies next to each other would be felt. */
const relevantLimit = 128;

/** `served`: indices of the interfaces where the program runs, and of the VLANs on them. */
export function elsewhereOf(network: Network, served: ReadonlySet<number>): Elsewhere {
  const { links, routes, routesCut } = network;
  const others = new Map(
    links.filter((link) => isOther(link, served)).map((link) => [link.index, link.name]),
  );
  if (others.size === 0) return { prefixes: [], all: false, names: [] };
  if (routesCut) return { prefixes: [], all: true, names: [...others.values()] };
  const leading = routes.filter((route) => leadsBy(route, others));
  const names = [...others].filter(([index]) => leading.some(({ link }) => link === index));
  const prefixes = outermost(leading.map(prefixOfRoute));
  if (prefixes.length > relevantLimit)
    return { prefixes: [], all: true, names: names.map(([, name]) => name) };
  return { prefixes: merged(prefixes), all: false, names: names.map(([, name]) => name) };
}

function isOther({ index, loopback, up }: Link, served: ReadonlySet<number>): boolean {
  return up && !loopback && !served.has(index);
}

/** With several next hops, or encapsulation, only the FIB knows. What all links have is nobody's way to a flow of ours. */
function leadsBy(route: Route, others: ReadonlyMap<number, string>): boolean {
  const { type, link, table: number, destination, unusual } = route;
  if (type !== 'unicast' || number === table.local || /^(fe80:|ff)/.test(destination)) return false;
  return link === undefined || unusual || others.has(link);
}

function prefixOfRoute({ destination, length }: Route): Prefix {
  const bits = familyOf(destination) === 4 ? mappedBits : 0;
  return prefixOf(mappedNumber(destination), length + bits);
}

/** Without those that lie within others of the same family. */
function outermost(prefixes: readonly Prefix[]): readonly Prefix[] {
  const found: Prefix[] = [];
  for (const prefix of prefixes.toSorted((a, b) => a.length - b.length)) {
    const covered = found.some((outer) => isFour(outer) === isFour(prefix) && contains(outer, prefix));
    if (!covered) found.push(prefix);
  }
  return found;
}

/** The two that are nearest to each other become one, until there are few enough. */
function merged(prefixes: readonly Prefix[]): readonly Prefix[] {
  let list = prefixes;
  while (list.length > elsewhereMax) {
    let best: Prefix | undefined;
    for (const [i, one] of list.entries()) {
      for (const other of list.slice(i + 1)) {
        if (isFour(one) !== isFour(other)) continue;
        const both = common(one, other);
        if (best === undefined || both.length > best.length) best = both;
      }
    }
    if (best === undefined) return list;
    list = outermost([...list, best]);
  }
  return list;
}
