// Routes and routing rules out of rtnetlink messages. Layout: include/uapi/linux/rtnetlink.h and fib_rules.h.
import type { Family, IpAddress } from '../../../resources/address.ts';
import { addressBytes } from '../../conntrack/address.ts';
import { AF_INET, AF_INET6 } from '../../conntrack/tuple.ts';
import { attribute, attributes, readU32 } from '../../netlink/netlink.ts';
import { addressOf, numberIn, unspecified } from './bytes.ts';
import type { Route, RouteType, Rule } from './model.ts';

const headerLength = 12;
const routeAttribute = {
  destination: 1,
  link: 4,
  gateway: 5,
  metric: 6,
  preferredSource: 7,
  multipath: 9,
  table: 15,
  via: 18,
  encapsulation: 22,
  nextHop: 30,
} as const;
/** RTM_F_CLONED: learnt for one destination (redirects, path MTU), not a route of its own. */
const cloned = 0x200;
const nextHopFlag = { dead: 1, linkDown: 16 } as const;
const types: Readonly<Record<number, RouteType>> = { 1: 'unicast', 2: 'local' };
const ruleAttribute = { priority: 6, suppressGroup: 13, suppressLength: 14, table: 15 } as const;
/** Attributes that choose no packets: those above, padding, and who made the rule. */
const harmless = new Set<number>([...Object.values(ruleAttribute), 18, 21]);
const lookUp = 1;
const inverted = 2;
const none = 0xffffffff;

/** The header of a request for all routes or rules of a family. */
export function routeQuery(family: Family): Buffer {
  const header = Buffer.alloc(headerLength);
  header[0] = family === 4 ? AF_INET : AF_INET6;
  return header;
}

/** The parts of a question where packets to one address go. */
export function wayQuery(address: IpAddress): readonly Buffer[] {
  const bytes = addressBytes(address);
  const header = routeQuery(bytes.length === 4 ? 4 : 6);
  header[1] = bytes.length * 8;
  return [header, attribute(routeAttribute.destination, bytes)];
}

/** The body of RTM_NEWROUTE; undefined for what is not a route of its own. */
export function parseRoute(body: Buffer): Route | undefined {
  const family = familyIn(body);
  if (family === undefined) return undefined;
  const flags = readU32(body, 8);
  if ((flags & cloned) !== 0) return undefined;
  return routeOf(family, body, flags);
}

/** The answer to `wayQuery`, which the kernel marks as cloned. */
export function parseWay(body: Buffer): Route | undefined {
  const family = familyIn(body);
  return family === undefined ? undefined : routeOf(family, body, readU32(body, 8));
}

function routeOf(family: Family, body: Buffer, flags: number): Route {
  const found = attributes(body.subarray(headerLength));
  const link = numberIn(found, routeAttribute.link);
  const gateway = addressOf(found.get(routeAttribute.gateway));
  const preferredSource = addressOf(found.get(routeAttribute.preferredSource));
  const hidden = found.has(routeAttribute.nextHop) && link === undefined;
  return {
    family,
    table: numberIn(found, routeAttribute.table) ?? body[4] ?? 0,
    type: types[body[7] ?? 0] ?? 'other',
    destination: addressOf(found.get(routeAttribute.destination)) ?? unspecified[family],
    length: body[1] ?? 0,
    metric: numberIn(found, routeAttribute.metric) ?? 0,
    ...(link !== undefined && { link }),
    ...(gateway !== undefined && { gateway }),
    ...(preferredSource !== undefined && { preferredSource }),
    multipath: found.has(routeAttribute.multipath) || hidden,
    selective: (body[2] ?? 0) !== 0 || (body[3] ?? 0) !== 0,
    unusual: found.has(routeAttribute.encapsulation) || found.has(routeAttribute.via),
    dead: (flags & nextHopFlag.dead) !== 0,
    doubtful: (flags & nextHopFlag.linkDown) !== 0,
  };
}

/** The body of RTM_NEWRULE. */
export function parseRule(body: Buffer): Rule | undefined {
  const family = familyIn(body);
  if (family === undefined) return undefined;
  const found = attributes(body.subarray(headerLength));
  const selects =
    body[1] !== 0 || body[2] !== 0 || body[3] !== 0 || [...found.keys()].some((type) => !harmless.has(type));
  const suppresses =
    (numberIn(found, ruleAttribute.suppressLength) ?? none) !== none ||
    (numberIn(found, ruleAttribute.suppressGroup) ?? none) !== none;
  const plain = body[7] === lookUp && (readU32(body, 8) & inverted) === 0;
  return {
    family,
    priority: numberIn(found, ruleAttribute.priority) ?? 0,
    table: numberIn(found, ruleAttribute.table) ?? body[4] ?? 0,
    unconditional: plain && !selects && !suppresses,
  };
}

/** Routes of other families (multicast routing, MPLS) come with the same messages. */
function familyIn(body: Buffer): Family | undefined {
  if (body.length < headerLength) return undefined;
  if (body[0] === AF_INET) return 4;
  return body[0] === AF_INET6 ? 6 : undefined;
}
