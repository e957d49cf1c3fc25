// Which rule claims which ports of which address, and that no two claim the same.
import { type IpAddress, type Port, type Transport, transportsOf } from './address.ts';
import { addressIndexOf } from './address-index.ts';
import { at, type Field } from './field.ts';
import type { Configuration, InboundNatRule, LoadBalancer, LoadBalancingRule } from './model.ts';
import type { ParsedLoadBalancer } from './parse-load-balancer.ts';
import type { Report } from './report.ts';

/** A load balancer that the request puts, as it was and as it will be. */
export interface Claimant {
  readonly parsed: ParsedLoadBalancer;
  readonly before?: LoadBalancer;
  readonly after: LoadBalancer;
}

interface Claim {
  /** Its place among all claims; those of the request come after those of the state. */
  readonly order: number;
  readonly address: IpAddress;
  readonly transport: Transport;
  /** Inclusive. Port 0, which means all that no rule claims, collides with nothing but another 0. */
  readonly from: Port | 0;
  readonly to: Port | 0;
  readonly rule: string;
  /** Absent for rules of the state. */
  readonly field?: Field;
}

/**
 * Reports every rule of the request that claims what another rule claims, in the request or in what stays of the
 * state; `gone` names load balancers that the request deletes. Looks at no load balancer that shares no address.
 */
export function checkClaims(
  claimants: readonly Claimant[],
  current: Configuration,
  gone: ReadonlySet<string>,
  report: Report,
): void {
  const moved = claimants.filter(({ before, after }) => before === undefined || claimsDiffer(before, after));
  if (moved.length === 0) return;
  const claims = [...claimsOfNeighbours(moved, current, gone)];
  for (const { parsed } of moved) claims.push(...claimsOfParsed(parsed, claims.length));
  const groups = Map.groupBy(claims, (claim) => `${claim.address}/${claim.transport}`);
  const reported = new Set<string>();
  for (const group of groups.values()) reportOverlaps(group, reported, report);
}

/** Ports of an address that an inbound rule of a load balancer uses. Port 0: every port that no rule claims. */
export interface InboundPorts {
  readonly address: IpAddress;
  readonly transport: Transport;
  /** Inclusive. */
  readonly from: Port | 0;
  readonly to: Port | 0;
  readonly rule: InboundNatRule | LoadBalancingRule;
}

/** All ports that the inbound rules of a load balancer use. */
export function* inboundPorts(loadBalancer: LoadBalancer): Generator<InboundPorts> {
  const addressOf = frontendAddresses(loadBalancer);
  for (const rule of rulesOf(loadBalancer)) {
    const address = addressOf.get(rule.frontend);
    if (address === undefined) continue;
    const [{ from, to }] = portsOf(rule, undefined);
    for (const transport of transportsOf(rule.protocol)) yield { address, transport, from, to, rule };
  }
}

/** What messages call it: `inbound NAT rule shop/ssh`. */
export function ruleText(rule: InboundNatRule | LoadBalancingRule, loadBalancer: string): string {
  const kind = 'kind' in rule ? 'inbound NAT rule' : 'load-balancing rule';
  return `${kind} ${loadBalancer}/${rule.name}`;
}

/** Whether inbound rules of a load balancer may use other ports than before. */
export function claimsDiffer(before: LoadBalancer, after: LoadBalancer): boolean {
  return (
    before.frontends !== after.frontends ||
    before.inboundNatRules !== after.inboundNatRules ||
    before.loadBalancingRules !== after.loadBalancingRules
  );
}

function claimsOfNeighbours(
  moved: readonly Claimant[],
  current: Configuration,
  gone: ReadonlySet<string>,
): readonly Claim[] {
  const own = new Set(moved.map(({ after }) => after.name));
  const addresses = new Set(
    moved.flatMap(({ after }) => after.frontends.map((frontend) => frontend.address)),
  );
  const index = addressIndexOf(current);
  const neighbours = new Set([...addresses].flatMap((address) => index.get(address, [])));
  const claims: Claim[] = [];
  for (const name of neighbours) {
    const neighbour = own.has(name) || gone.has(name) ? undefined : current.get(name);
    if (neighbour === undefined) continue;
    const addressOf = frontendAddresses(neighbour);
    for (const rule of rulesOf(neighbour)) {
      const address = addressOf.get(rule.frontend);
      if (address === undefined || !addresses.has(address)) continue;
      claims.push(...claimsOfRule(rule, name, address, claims.length));
    }
  }
  return claims;
}

function claimsOfParsed(parsed: ParsedLoadBalancer, order: number): readonly Claim[] {
  const { loadBalancer, natRules, balancingRules } = parsed;
  const addressOf = frontendAddresses(loadBalancer);
  const claims: Claim[] = [];
  for (const { value, field } of [...natRules, ...balancingRules]) {
    const address = addressOf.get(value.frontend);
    if (address === undefined) continue;
    const [, portField] = portsOf(value, field);
    claims.push(...claimsOfRule(value, loadBalancer.name, address, order + claims.length, portField));
  }
  return claims;
}

function claimsOfRule(
  rule: InboundNatRule | LoadBalancingRule,
  loadBalancer: string,
  address: IpAddress,
  order: number,
  field?: Field,
): readonly Claim[] {
  const [{ from, to }] = portsOf(rule, undefined);
  return transportsOf(rule.protocol).map((transport) => ({
    order,
    address,
    transport,
    from,
    to,
    rule: ruleText(rule, loadBalancer),
    ...(field === undefined ? {} : { field }),
  }));
}

/** The ports that a rule claims, and the field that says so. */
function portsOf(
  rule: InboundNatRule | LoadBalancingRule,
  field: Field | undefined,
): readonly [{ readonly from: Port | 0; readonly to: Port | 0 }, Field | undefined] {
  const below = (...names: readonly string[]) =>
    field === undefined ? undefined : names.reduce((parent, name) => at(parent, name), field);
  if (!('kind' in rule)) {
    return [{ from: rule.frontendPort, to: rule.frontendPort }, below('frontend_port')];
  }
  switch (rule.kind) {
    case 'single':
      return [{ from: rule.frontendPort, to: rule.frontendPort }, below('single', 'frontend_port')];
    case 'pool':
      return [{ from: rule.rangeStart, to: rule.rangeEnd }, below('pool', 'frontend_port_range_start')];
  }
}

function rulesOf(loadBalancer: LoadBalancer): readonly (InboundNatRule | LoadBalancingRule)[] {
  return [...loadBalancer.inboundNatRules, ...loadBalancer.loadBalancingRules];
}

function frontendAddresses(loadBalancer: LoadBalancer): ReadonlyMap<string, IpAddress> {
  return new Map(loadBalancer.frontends.map(({ name, address }) => [name, address]));
}

/** In the order of their first ports, a claim overlaps one before it exactly when it begins before the furthest ends. */
function reportOverlaps(group: readonly Claim[], reported: Set<string>, report: Report): void {
  const sorted = group.toSorted((one, other) => one.from - other.from || one.order - other.order);
  let furthest: Claim | undefined;
  for (const claim of sorted) {
    if (furthest !== undefined && claim.from <= furthest.to) reportOverlap(furthest, claim, reported, report);
    if (furthest === undefined || claim.to > furthest.to) furthest = claim;
  }
}

function reportOverlap(one: Claim, other: Claim, reported: Set<string>, report: Report): void {
  const [first, later] = one.order < other.order ? [one, other] : [other, one];
  const pair = `${first.rule}\n${later.rule}`;
  if (later.field === undefined || reported.has(pair)) return;
  reported.add(pair);
  const ports = `${portText(later)} of ${later.address}/${later.transport}`;
  const fault = `${later.rule} claims ${ports}, and ${first.rule} claims ${portText(first)}`;
  report(later.field, 'FRONTEND_PORT_OVERLAP', `${fault}: give them ports that do not overlap`, {
    rule: later.rule,
    other_rule: first.rule,
  });
}

function portText({ from, to }: Claim): string {
  if (from === 0) return 'every port';
  return from === to ? `port ${from}` : `ports ${from} to ${to}`;
}
