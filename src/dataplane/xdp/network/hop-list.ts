// Makes a routing table short enough for the program, without ever saying something wrong: "ask the FIB" is right for
// every destination, so such prefixes may be left out where nothing else matches, or widened, and cost only time.
import { common, contains, type HopRoute, isFour, overlap, type Prefix, prefixOf } from './prefix.ts';

/** Above, the work would be felt: it grows with the square. */
const relevantLimit = 256;
/** What is widened further asks for too much. IPv4's lengths count from 96. */
const shortest = { four: 104, six: 16 } as const;
const coarse = { first: { four: 120, six: 64 }, second: { four: 112, six: 48 } } as const;
/** Of very many routes the gateways of so many are listed. */
const gatewaysOfMany = 12;

/**
 * At most `most` lines; `routes` and the result are in order of priority. Undefined when that cannot be had. Empty when
 * no route has a gateway.
 */
export function shortened(routes: readonly HopRoute[], most: number): readonly HopRoute[] | undefined {
  if (!routes.some(isGateway)) return [];
  const few = withFewGateways(routes);
  let list = pruned(routes) ?? pruned(coarsened(few, coarse.first)) ?? pruned(coarsened(few, coarse.second));
  if (list === undefined) return undefined;
  while (list.length > most) {
    const next: readonly HopRoute[] | undefined = withOneWidened(list) ?? withOneAsked(list);
    if (next === undefined) return undefined;
    list = next;
  }
  list = pruned(list) ?? [];
  return list.some(isGateway) ? list : undefined;
}

function isGateway(route: HopRoute): boolean {
  return route.kind === 'gateway';
}

/** Without the lines that change nothing; undefined when far too many are left. */
function pruned(routes: readonly HopRoute[]): readonly HopRoute[] | undefined {
  const kept: HopRoute[] = [];
  // From the last on, so that each is compared with those behind it that stay.
  for (const route of routes.toReversed()) {
    if (route.kind === 'gateway' || matters(route, kept)) kept.push(route);
    if (kept.length > relevantLimit) return undefined;
  }
  return kept.reverse();
}

/** A host may have thousands of addresses, mostly next to each other: lines that ask, one after another, become one. */
function coarsened(
  routes: readonly HopRoute[],
  to: { readonly four: number; readonly six: number },
): readonly HopRoute[] {
  const found: HopRoute[] = [];
  let present = new Set<string>();
  for (const route of routes) {
    if (route.kind === 'gateway') {
      present = new Set();
      found.push(route);
      continue;
    }
    const prefix = prefixOf(route.bits, Math.min(route.length, isFour(route) ? to.four : to.six));
    const key = `${prefix.bits}/${prefix.length}`;
    if (!present.has(key)) found.push({ ...prefix, kind: 'ask' });
    present.add(key);
  }
  return found;
}

/** `behind`, nearest last. A line that asks matters if without it an address would be taken by a gateway's. */
function matters(route: Prefix, behind: readonly HopRoute[]): boolean {
  for (let at = behind.length - 1; at >= 0; at -= 1) {
    const other = behind[at];
    if (other === undefined) continue;
    if (other.kind === 'gateway' && overlap(other, route)) return true;
    if (other.kind === 'ask' && contains(other, route)) return false;
  }
  return false;
}

/** The two that ask and are nearest to each other become one, at the place of the earlier one. */
function withOneWidened(list: readonly HopRoute[]): readonly HopRoute[] | undefined {
  const asking = list
    .map((route, at) => ({ route, at }))
    .filter(({ route }) => route.kind === 'ask')
    // Neighbours in this order have the longest common prefixes.
    .sort((a, b) => (a.route.bits < b.route.bits ? -1 : a.route.bits > b.route.bits ? 1 : 0));
  let best: { readonly prefix: Prefix; readonly first: number; readonly second: number } | undefined;
  for (const [i, { route, at }] of asking.entries()) {
    const next = asking[i + 1];
    if (next === undefined) break;
    const prefix = common(route, next.route);
    const least = isFour(route) && isFour(next.route) ? shortest.four : shortest.six;
    if (isFour(route) !== isFour(next.route) || prefix.length < least) continue;
    if (best !== undefined && best.prefix.length >= prefix.length) continue;
    best = { prefix, first: Math.min(at, next.at), second: Math.max(at, next.at) };
  }
  if (best === undefined) return undefined;
  const { prefix, first, second } = best;
  return list.flatMap((route, at): readonly HopRoute[] => {
    if (at === second) return [];
    return at === first ? [{ ...prefix, kind: 'ask' }] : [route];
  });
}

/** The gateway of the longest prefix is asked for as well: those of the short ones serve the most addresses. */
function withOneAsked(list: readonly HopRoute[]): readonly HopRoute[] | undefined {
  const longest = shortestFirst(list).at(-1);
  return longest && list.map((route) => (route === longest ? asked(route) : route));
}

function withFewGateways(routes: readonly HopRoute[]): readonly HopRoute[] {
  const kept = new Set(shortestFirst(routes).slice(0, gatewaysOfMany));
  return routes.map((route) => (kept.has(route) ? route : asked(route)));
}

function shortestFirst(routes: readonly HopRoute[]): readonly HopRoute[] {
  return routes.filter(isGateway).sort((a, b) => a.length - b.length);
}

function asked({ bits, length }: HopRoute): HopRoute {
  return { bits, length, kind: 'ask' };
}
