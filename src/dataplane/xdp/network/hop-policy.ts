// May a next hop be remembered, and for which prefixes is it one and the same? Pure: from a reading of the network.
import { type Family, familyOf } from '../../../resources/address.ts';
import { mappedBits, mappedNumber } from './bytes.ts';
import { shortened } from './hop-list.ts';
import { type Network, type Route, type Rule, table } from './model.ts';
import { type HopRoute, prefixOf } from './prefix.ts';

export interface HopPolicy {
  /** Routing goes by the destination alone, so a next hop may be remembered for it. */
  readonly remember: boolean;
  /** Why not. */
  readonly reason?: string;
  /** What is worse than it could be, in words; for the status. */
  readonly note?: string;
  /** In order of priority: the first match counts. Empty: the FIB is asked, or the machine's own hop is used. */
  readonly routes: readonly HopRoute[];
}

/** ROUTES_MAX of bpf/abi.h. */
export const routesMax = 16;

const usualRules: Readonly<Record<Family, readonly (readonly [priority: number, table: number])[]>> = {
  4: [
    [0, table.local],
    [32766, table.main],
    [32767, table.default],
  ],
  6: [
    [0, table.local],
    [32766, table.main],
  ],
};
/** In which they are asked. */
const tables: readonly number[] = [table.local, table.main, table.default];

/** `most` lines are listed. */
export function hopPolicy(network: Network, most: number = routesMax): HopPolicy {
  const reason = obstacle(network);
  if (reason !== undefined) return { remember: false, reason, routes: [] };
  const routes = inOrder(network.routes);
  const list = shortened(routes, most);
  if (list !== undefined) return { remember: true, routes: list };
  return {
    remember: true,
    note: `no short list can be made of the host's ${routes.length} routes`,
    routes: [],
  };
}

function obstacle({ rules, routes, routesCut }: Network): string | undefined {
  const foreign = rules.find((rule) => !isUsual(rule));
  if (foreign !== undefined)
    return `ip rule ${foreign.priority} (IPv${foreign.family}) is not one of the usual ones`;
  for (const family of [4, 6] as const) {
    const present = rules.filter((rule) => rule.family === family);
    // None at all: a kernel without policy routing, or without the family.
    if (present.length === 0) continue;
    const missing = [table.local, table.main].find(
      (wanted) => !present.some((rule) => rule.table === wanted),
    );
    if (missing !== undefined) return `the usual ip rule for table ${missing} (IPv${family}) is missing`;
  }
  if (routesCut) return 'the host has very many routes';
  const relevant = routes.filter((route) => tables.includes(route.table));
  const multipath = relevant.find((route) => route.multipath);
  if (multipath !== undefined) return `the route to ${textOf(multipath)} has several next hops`;
  const selective = relevant.find((route) => route.selective);
  if (selective !== undefined) return `the route to ${textOf(selective)} goes by more than the destination`;
  return undefined;
}

function isUsual(rule: Rule): boolean {
  const usual = usualRules[rule.family];
  return rule.unconditional && usual.some(([at, to]) => at === rule.priority && to === rule.table);
}

function textOf({ destination, length }: Route): string {
  return `${destination}/${length}`;
}

/** The routes as the kernel tries them: by table, then the longest prefix first. */
function inOrder(routes: readonly Route[]): readonly HopRoute[] {
  const [four, six] = ([4, 6] as const).map((family) => {
    const own = routes.filter((route) => route.family === family && !route.dead);
    return tables.flatMap((number) => hopsOf(own.filter((route) => route.table === number)));
  });
  // IPv4 addresses lie in the midst of IPv6's: without a default route they must not fall into that of IPv6.
  return [...(four ?? []), { ...prefixOf(0xffff00000000n, mappedBits), kind: 'ask' }, ...(six ?? [])];
}

/** Of the routes of one table: one hop per prefix, the longest first. */
function hopsOf(routes: readonly Route[]): readonly HopRoute[] {
  const byPrefix = new Map<string, Route[]>();
  for (const route of routes) {
    const key = textOf(route);
    const same = byPrefix.get(key);
    if (same === undefined) byPrefix.set(key, [route]);
    else same.push(route);
  }
  return [...byPrefix.values()].map(hopOf).sort((a, b) => b.length - a.length);
}

/** Of several routes to one prefix the lowest metric counts; with equal ones it is the kernel's to choose. */
function hopOf(routes: readonly Route[]): HopRoute {
  const best = routes.reduce((least, route) => (route.metric < least.metric ? route : least));
  const rivals = routes.filter(({ metric, doubtful }) => metric === best.metric || doubtful);
  const bits = familyOf(best.destination) === 4 ? mappedBits : 0;
  const prefix = prefixOf(mappedNumber(best.destination), best.length + bits);
  const { gateway, link } = best;
  const sure = rivals.length === 1 && !best.doubtful && !best.unusual && best.type === 'unicast';
  if (!sure || gateway === undefined || link === undefined) return { ...prefix, kind: 'ask' };
  return { ...prefix, kind: 'gateway', gateway, link };
}
