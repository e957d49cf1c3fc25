// Inbound NAT rules: one entry per mapping and transport. Only mappings of machines that changed are made anew.
import type { LoadBalancerPorts, PortAssignment, RulePorts } from '../ports/assignment.ts';
import type { Mapping } from '../ports/mapping.ts';
import { mappingsOf } from '../ports/mappings.ts';
import { type IpAddress, transportsOf } from '../resources/address.ts';
import type {
  BackendPool,
  FlowOptions,
  InboundNatRule,
  LoadBalancer,
  PoolRule,
  SingleTargetRule,
} from '../resources/model.ts';
import { changedMembers, poolNamed } from './changed-members.ts';
import { Entries } from './entries.ts';
import type { FlowLimit } from './flow-limits.ts';
import { idleOf } from './idle.ts';
import { poolBehind } from './refused.ts';
import { sameTarget } from './same.ts';
import {
  type CompiledFrom,
  type CompiledLoadBalancer,
  type CompiledRule,
  type Entry,
  endpointKey,
} from './table.ts';

type NamedRule = readonly [key: string, rule: CompiledRule];

/** All inbound NAT rules of a load balancer, in its order; those that come out the same are the objects of `before`. Pauses after each. */
export function* compileNatRules(
  before: CompiledLoadBalancer | undefined,
  loadBalancer: LoadBalancer,
  ports: LoadBalancerPorts,
  refused: CompiledFrom['refused'],
  limits: CompiledLoadBalancer['limits'],
): Generator<void, readonly NamedRule[], void> {
  const sources = new RuleSources(before?.source, { loadBalancer, ports, refused }, limits);
  const singles = compileSingleRules(before, loadBalancer, ports, sources);
  const rules: NamedRule[] = [];
  for (const rule of loadBalancer.inboundNatRules) {
    const key = `nat/${rule.name}`;
    const earlier = before?.rules.get(key);
    if (rule.kind === 'pool') rules.push([key, compilePoolRule(earlier, rule, sources)]);
    else rules.push([key, singles.get(rule.name) ?? earlier ?? { entries: new Map() }]);
    yield;
  }
  return rules;
}

type Source = Pick<CompiledFrom, 'loadBalancer' | 'ports' | 'refused'>;

/** What a rule stands on, before and after the change. */
class RuleSources {
  readonly after: Source;
  readonly before: Source | undefined;
  readonly #rules: ReadonlyMap<string, InboundNatRule>;
  readonly #addresses: readonly [ReadonlyMap<string, string>, ReadonlyMap<string, string>];
  readonly #changed = new Map<string, ReadonlySet<string>>();
  readonly #limits: CompiledLoadBalancer['limits'];

  constructor(before: Source | undefined, after: Source, limits: CompiledLoadBalancer['limits']) {
    this.#limits = limits;
    this.before = before;
    this.after = after;
    this.#rules = new Map((before?.loadBalancer.inboundNatRules ?? []).map((rule) => [rule.name, rule]));
    this.#addresses = [frontendAddresses(before?.loadBalancer), frontendAddresses(after.loadBalancer)];
  }

  /** How the rule treats flows, whatever the machine. */
  flowsOf({ name, flow }: InboundNatRule): RuleFlows {
    return { flow, limit: this.#limits.get(`nat/${name}`) };
  }

  /** True where the rule itself and its frontend's address are as they were. */
  sameRule(rule: InboundNatRule): boolean {
    return (
      this.#rules.get(rule.name) === rule &&
      this.#addresses[0].get(rule.frontend) === this.#addresses[1].get(rule.frontend)
    );
  }

  pools(name: string): readonly [before: BackendPool | undefined, after: BackendPool | undefined] {
    return [
      this.before && poolNamed(this.before.loadBalancer, name),
      poolNamed(this.after.loadBalancer, name),
    ];
  }

  /** Ids of members of a pool that are not as they were. */
  changedMembers(pool: string): ReadonlySet<string> {
    const known = this.#changed.get(pool);
    if (known !== undefined) return known;
    const [before, after] = this.pools(pool);
    const changed = changedMembers(before?.members ?? [], after?.members ?? []);
    this.#changed.set(pool, changed);
    return changed;
  }

  /** Whether the rule leads to the machine. */
  allows(rule: InboundNatRule, address: IpAddress): boolean {
    return !refusedBy(this.after, rule).has(address);
  }

  /** Machines that the rule refuses now and did not before, or the other way round. */
  refusedOtherwise(rule: InboundNatRule): ReadonlySet<IpAddress> {
    const [before, after] = [refusedBy(this.before, rule), refusedBy(this.after, rule)];
    return before === after ? none : before.symmetricDifference(after);
  }
}

interface RuleFlows {
  readonly flow: FlowOptions;
  readonly limit: FlowLimit | undefined;
}

const none: ReadonlySet<IpAddress> = new Set();

function refusedBy(source: Source | undefined, rule: InboundNatRule): ReadonlySet<IpAddress> {
  const pool = rule.whenUnhealthy === 'refuse' ? poolBehind(rule) : undefined;
  return pool === undefined ? none : (source?.refused.get(pool)?.machines ?? none);
}

function frontendAddresses(loadBalancer: LoadBalancer | undefined): ReadonlyMap<string, string> {
  return new Map((loadBalancer?.frontends ?? []).map(({ name, address }) => [name, address]));
}

/** By rule name, those that had to be compiled. */
function compileSingleRules(
  before: CompiledLoadBalancer | undefined,
  loadBalancer: LoadBalancer,
  ports: LoadBalancerPorts,
  sources: RuleSources,
): ReadonlyMap<string, CompiledRule> {
  const affected = loadBalancer.inboundNatRules.filter(
    (rule): rule is SingleTargetRule => rule.kind === 'single' && !sameSingleRule(rule, sources),
  );
  const rules = new Map(affected.map((rule) => [rule.name, rule]));
  const entries = new Map(affected.map((rule) => [rule.name, new Map<string, Entry>()]));
  if (affected.length > 0) {
    for (const mapping of mappingsOf({ ...loadBalancer, inboundNatRules: affected }, ports)) {
      const rule = rules.get(mapping.rule);
      if (rule === undefined || !sources.allows(rule, mapping.backendAddress)) continue;
      const earlier = before?.rules.get(`nat/${mapping.rule}`)?.entries;
      for (const entry of entriesOf(mapping, sources.flowsOf(rule), earlier))
        entries.get(mapping.rule)?.set(endpointKey(entry.endpoint), entry);
    }
  }
  return new Map(
    Array.from(entries, ([name, fresh]) => [name, keptRule(before?.rules.get(`nat/${name}`), fresh)]),
  );
}

function sameSingleRule(rule: SingleTargetRule, sources: RuleSources): boolean {
  if (!sources.sameRule(rule)) return false;
  if (sources.before?.ports.get(rule.name) !== sources.after.ports.get(rule.name)) return false;
  if (sources.refusedOtherwise(rule).size > 0) return false;
  return (
    rule.target.kind !== 'member' || !sources.changedMembers(rule.target.backendPool).has(rule.target.id)
  );
}

function keptRule(before: CompiledRule | undefined, entries: ReadonlyMap<string, Entry>): CompiledRule {
  if (before === undefined || before.entries.size !== entries.size) return { entries };
  for (const [key, entry] of entries) {
    if (before.entries.get(key) !== entry) return { entries };
  }
  return before;
}

function compilePoolRule(
  before: CompiledRule | undefined,
  rule: PoolRule,
  sources: RuleSources,
): CompiledRule {
  const after = sources.after.ports.get(rule.name);
  const earlierPorts = sources.before?.ports.get(rule.name);
  const earlier = before?.entries instanceof Entries ? before.entries : Entries.empty;
  const incremental = before !== undefined && sources.sameRule(rule);
  const changed = incremental ? changedMachines(rule, earlierPorts, after, sources) : undefined;
  if (changed?.size === 0 && before !== undefined) return before;
  const [poolBefore, poolAfter] = sources.pools(rule.backendPool);
  const flows = sources.flowsOf(rule);
  const removed = changed === undefined ? [...earlier.values()] : [];
  if (changed !== undefined && sources.before !== undefined) {
    for (const mapping of mappingsOfMachines(sources.before, rule, earlierPorts, changed, poolBefore)) {
      removed.push(...entriesOf(mapping, flows, earlier));
    }
  }
  const added: Entry[] = [];
  for (const mapping of mappingsOfMachines(sources.after, rule, after, changed, poolAfter)) {
    if (sources.allows(rule, mapping.backendAddress)) added.push(...entriesOf(mapping, flows, earlier));
  }
  const entries = earlier.with(removed, added);
  const same = Entries.differences(earlier, entries).next().done === true;
  return before !== undefined && same ? before : { entries };
}

/** Ids of machines whose mappings may differ: another port, or another address. */
function changedMachines(
  rule: PoolRule,
  before: RulePorts | undefined,
  after: RulePorts | undefined,
  sources: RuleSources,
): ReadonlySet<string> {
  const changed = new Set(sources.changedMembers(rule.backendPool));
  const otherwise = sources.refusedOtherwise(rule);
  if (otherwise.size > 0) {
    for (const { id, address } of sources.pools(rule.backendPool)[1]?.members ?? []) {
      if (otherwise.has(address)) changed.add(id);
    }
  }
  if (before === after) return changed;
  for (const [id, assignment] of after?.assigned ?? []) {
    if (before?.assigned.get(id) !== assignment) changed.add(id);
  }
  for (const id of before?.assigned.keys() ?? []) {
    if (after?.assigned.has(id) !== true) changed.add(id);
  }
  return changed;
}

/** The mappings of one rule, for some machines only (all, when `machines` is absent). */
function mappingsOfMachines(
  { loadBalancer, ports }: Source,
  rule: PoolRule,
  rulePorts: RulePorts | undefined,
  machines: ReadonlySet<string> | undefined,
  pool: BackendPool | undefined,
): Iterable<Mapping> {
  if (machines === undefined || rulePorts === undefined) {
    return mappingsOf({ ...loadBalancer, inboundNatRules: [rule] }, ports);
  }
  const assigned = new Map<string, PortAssignment>();
  for (const id of machines) {
    const assignment = rulePorts.assigned.get(id);
    if (assignment !== undefined) assigned.set(id, assignment);
  }
  const members = pool?.members.filter(({ id }) => machines.has(id)) ?? [];
  return mappingsOf(
    {
      ...loadBalancer,
      frontends: loadBalancer.frontends.filter(({ name }) => name === rule.frontend),
      inboundNatRules: [rule],
      backendPools: [{ name: rule.backendPool, members }],
    },
    new Map([[rule.name, { ...rulePorts, assigned }]]),
  );
}

/** The entries of a mapping; those of `earlier` where they are the same. */
function* entriesOf(
  mapping: Mapping,
  { flow, limit }: RuleFlows,
  earlier: ReadonlyMap<string, Entry> | undefined,
): Generator<Entry> {
  const common = {
    kind: 'nat',
    address: mapping.backendAddress,
    port: mapping.backendPort,
    masquerade: mapping.masquerade,
    ...(limit && { limit: limit.number }),
  } as const;
  for (const transport of transportsOf(mapping.protocol)) {
    const endpoint = { address: mapping.frontendAddress, transport, port: mapping.frontendPort };
    const known = earlier?.get(endpointKey(endpoint));
    const idle = idleOf(flow, transport);
    const target = idle === undefined ? common : { ...common, idle };
    yield known !== undefined && sameTarget(known.target, target) ? known : { endpoint, target };
  }
}
