// From what is declared and assigned to the flat table: only what changed is compiled, all else stays the same object.
import { Map as PersistentMap } from 'immutable';
import { noPorts } from '../ports/assign.ts';
import type { LoadBalancerPorts, Ports } from '../ports/assignment.ts';
import { type LoadBalancerOutbound, noBlocks, noOutbound, type Outbound } from '../ports/outbound.ts';
import type { IpAddress } from '../resources/address.ts';
import type { LoadBalancer } from '../resources/model.ts';
import { compileBalancedRule } from './balanced-rules.ts';
import { type DrainsOf, nobodyDrains } from './draining.ts';
import { assignLimitNumbers, compileLimits, type LimitNumbers, releaseLimitNumbers } from './flow-limits.ts';
import { type HealthOf, nothingProbed } from './health.ts';
import { compileNatRules } from './nat-rules.ts';
import { compileOutbound } from './outbound.ts';
import { refusedMachines } from './refused.ts';
import { ringName } from './ring-names.ts';
import { assignRingNumbers, releaseRingNumbers } from './ring-numbers.ts';
import { compileRings } from './rings.ts';
import type { CompiledLoadBalancer, CompiledRule, ForwardingTable } from './table.ts';
import { noteUses, type Uses, withUses } from './uses.ts';

/** A table that forwards nothing. The numbers are those of an earlier table, kept over a restart. */
export function emptyTable(
  ringNumbers: Iterable<[string, number]> = [],
  limitNumbers: Iterable<[string, number]> = [],
): ForwardingTable {
  return {
    loadBalancers: PersistentMap(),
    backends: PersistentMap(),
    localAddresses: PersistentMap(),
    ringNumbers: PersistentMap(ringNumbers),
    limitNumbers: PersistentMap(limitNumbers),
  };
}

/**
 * The table after a change: `changed` holds load balancers by name, absent (`undefined`) where they go; also those that are
 * as they were, but whose machines fare otherwise. Rules, rings and entries that come out the same are the same objects as in
 * `previous`.
 */
export function compile(
  previous: ForwardingTable,
  changed: ReadonlyMap<string, LoadBalancer | undefined>,
  ports: Ports,
  healthOf: HealthOf = nothingProbed,
  drainsOf: DrainsOf = nobodyDrains,
  outbound: Outbound = noOutbound,
): ForwardingTable {
  const steps = compileInSteps(previous, changed, ports, healthOf, drainsOf, outbound);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The same, with a pause after each load balancer and inbound NAT rule in which the caller may let other work have a turn. */
export function* compileInSteps(
  previous: ForwardingTable,
  changed: ReadonlyMap<string, LoadBalancer | undefined>,
  ports: Ports,
  healthOf: HealthOf = nothingProbed,
  drainsOf: DrainsOf = nobodyDrains,
  outbound: Outbound = noOutbound,
): Generator<void, ForwardingTable, void> {
  const backends: Uses = new Map();
  const localAddresses: Uses = new Map();
  const ringNumbers = assignRingNumbers(previous.ringNumbers, changed.values(), previous.loadBalancers);
  const limitNumbers = assignLimitNumbers(previous.limitNumbers, changed.values());
  const numbers = { ringNumbers, limitNumbers };
  const compiled = previous.loadBalancers.asMutable();
  for (const [name, loadBalancer] of changed) {
    const before = compiled.get(name);
    const after =
      loadBalancer === undefined
        ? undefined
        : yield* compileLoadBalancer(
            before,
            loadBalancer,
            { ports: ports.get(name) ?? noPorts, outbound: outbound.ports.get(name) ?? noBlocks },
            numbers,
            { healthOf, drainsOf },
          );
    noteUses(before, after, backends, localAddresses);
    if (after === undefined) compiled.delete(name);
    else compiled.set(name, after);
    yield;
  }
  return {
    loadBalancers: compiled.wasAltered() ? compiled.asImmutable() : previous.loadBalancers,
    backends: withUses(previous.backends, backends),
    localAddresses: withUses(previous.localAddresses, localAddresses),
    ringNumbers: releaseRingNumbers(ringNumbers, changed, previous.loadBalancers),
    limitNumbers: releaseLimitNumbers(limitNumbers, changed, previous.loadBalancers),
  };
}

/** Ports of a load balancer's rules. */
interface GivenOut {
  readonly ports: LoadBalancerPorts;
  readonly outbound: LoadBalancerOutbound;
}

interface Numbers {
  readonly ringNumbers: PersistentMap<string, number>;
  readonly limitNumbers: LimitNumbers;
}

function* compileLoadBalancer(
  before: CompiledLoadBalancer | undefined,
  loadBalancer: LoadBalancer,
  { ports, outbound: blocks }: GivenOut,
  { ringNumbers, limitNumbers }: Numbers,
  { healthOf, drainsOf }: { readonly healthOf: HealthOf; readonly drainsOf: DrainsOf },
): Generator<void, CompiledLoadBalancer, void> {
  const compiled = compileRings(before, loadBalancer, ringNumbers, healthOf, drainsOf);
  const { rings, populations, health, drains } = compiled;
  const refused = refusedMachines(before?.source?.refused, loadBalancer, healthOf);
  const limits = compileLimits(before, loadBalancer, limitNumbers);
  const rules = new Map<string, CompiledRule>(
    yield* compileNatRules(before, loadBalancer, ports, refused, limits),
  );
  const frontends = new Map(loadBalancer.frontends.map((frontend) => [frontend.name, frontend.address]));
  for (const rule of loadBalancer.loadBalancingRules) {
    const key = `lb/${rule.name}`;
    const address = frontends.get(rule.frontend);
    const ring = rings.get(ringName(rule));
    if (address === undefined || ring === undefined) continue;
    rules.set(key, compileBalancedRule(before?.rules.get(key), rule, address, ring.number, limits.get(key)));
  }
  const outbound = compileOutbound(before?.outbound, loadBalancer, blocks);
  return {
    rules: kept(before?.rules, rules),
    rings: kept(before?.rings, rings),
    limits: kept(before?.limits, limits),
    ...(outbound && { outbound }),
    localAddresses: localAddressesOf(before, loadBalancer),
    source: { loadBalancer, ports, populations, health, refused, drains },
  };
}

function localAddressesOf(
  before: CompiledLoadBalancer | undefined,
  { frontends }: LoadBalancer,
): ReadonlySet<IpAddress> {
  if (before !== undefined && before.source?.loadBalancer.frontends === frontends)
    return before.localAddresses;
  const addresses = new Set(
    frontends.flatMap(({ address, addressOwnership }) => (addressOwnership === 'local' ? [address] : [])),
  );
  const same =
    before !== undefined &&
    before.localAddresses.size === addresses.size &&
    [...addresses].every((address) => before.localAddresses.has(address));
  return same ? before.localAddresses : addresses;
}

/** The earlier map where both hold the same objects. */
function kept<V>(
  before: ReadonlyMap<string, V> | undefined,
  after: ReadonlyMap<string, V>,
): ReadonlyMap<string, V> {
  if (before === undefined || before.size !== after.size) return after;
  for (const [key, value] of after) {
    if (before.get(key) !== value) return after;
  }
  return before;
}
