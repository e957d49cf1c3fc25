// Rows of the store back into a state.

import { Map as PersistentMap } from 'immutable';
import type { Change } from '../forwarding/change.ts';
import { compile, emptyTable } from '../forwarding/compile.ts';
import { diff } from '../forwarding/diff.ts';
import type { Drain } from '../forwarding/draining.ts';
import type { Verdict } from '../health/verdict.ts';
import { emptyPorts } from '../ports/assign.ts';
import type { LoadBalancerPorts, PortAssignment, Ports, RulePorts } from '../ports/assignment.ts';
import type { BackendPool, LoadBalancer, Member, OutboundRule, Probe } from '../resources/model.ts';
import type { FormerRow, Row, RowKey, Saved } from '../store/store.ts';
import type { Drains } from './drains.ts';
import { type HealthState, healthAfter, noHealth } from './health-state.ts';
import { rememberPositions } from './positions.ts';
import { type CollectedBlocks, restoredOutbound } from './restore-outbound.ts';
import { ringNumberOf } from './ring-number-text.ts';
import type { StoredLoadBalancer } from './rows.ts';
import { type State, sourcesOf } from './state.ts';

/** The state that rows describe. They were written by this program from validated values, and are trusted. */
export function stateFromRows(revision: number, rows: Iterable<Row>): State {
  const collected = collect(rows);
  const loadBalancers = [...collected.loadBalancers.values()].map((stored) =>
    loadBalancerOf(stored, collected),
  );
  const configuration = PersistentMap(loadBalancers.map((loadBalancer) => [loadBalancer.name, loadBalancer]));
  const ports = portsOf(collected);
  const outbound = restoredOutbound(collected.blocks, loadBalancers);
  const changed = new Map(loadBalancers.map((loadBalancer) => [loadBalancer.name, loadBalancer]));
  const health = restoredHealth(collected.verdicts, loadBalancers);
  const drains: Drains = PersistentMap(collected.drains);
  const sources = sourcesOf({ ports, health, drains, outbound });
  const table = compile(emptyTable(collected.rings, collected.limits), changed, ...sources);
  return { revision, configuration, ports, outbound, table, health, drains };
}

/** How often verdicts had changed what the kernel runs, as far as the store knows. */
export function turnFromRows(rows: Iterable<Row>): number {
  for (const { kind, value } of rows) if (kind === 'turn') return Number(value);
  return 0;
}

/** Verdicts on what nobody wants to know any more are left over from a crash. */
function restoredHealth(
  verdicts: ReadonlyMap<string, Verdict>,
  loadBalancers: readonly LoadBalancer[],
): HealthState {
  const known = { ...noHealth, verdicts: PersistentMap(verdicts) };
  const changes = loadBalancers.map((after) => ({ name: after.name, after }));
  const { health } = healthAfter(known, changes, 0);
  return { ...health, verdicts: health.verdicts.filter((_, key) => health.targets.has(key)) };
}

/** From the revision before the stored one, which a crash between journal and commit left in the kernel. */
export function wayForward(
  saved: Saved,
  undo: readonly FormerRow[],
): { readonly state: State; readonly change: Change } {
  const before = stateFromRows(saved.revision - 1, rowsBefore(saved.rows, undo)).table;
  const stored = stateFromRows(saved.revision, saved.rows);
  const names = new Set(undo.flatMap(({ kind, key }) => (kind === 'verdict' ? [] : (key[0] ?? []))));
  const changed = new Map([...names].map((name) => [name, stored.configuration.get(name)]));
  // New rings and limits have the numbers that were stored: given out anew, they might go to the pools in another order.
  const ringNumbers = before.ringNumbers.merge(stored.table.ringNumbers);
  const limitNumbers = before.limitNumbers.merge(stored.table.limitNumbers);
  const table = compile({ ...before, ringNumbers, limitNumbers }, changed, ...sourcesOf(stored));
  return { state: { ...stored, table }, change: diff(before, table) };
}

/** The rows of the revision before. */
function rowsBefore(rows: readonly Row[], undo: readonly FormerRow[]): readonly Row[] {
  const touched = new Set(undo.map(textOf));
  const former = undo.flatMap(({ value, ...key }) => (value === undefined ? [] : [{ ...key, value }]));
  return [...rows.filter((row) => !touched.has(textOf(row))), ...former];
}

function textOf({ kind, key }: RowKey): string {
  return [kind, ...key].join('\n');
}

interface Collected {
  readonly loadBalancers: Map<string, StoredLoadBalancer>;
  readonly members: Map<string, { readonly position: number; readonly member: Member }[]>;
  readonly ports: Map<string, Map<string, CollectedPorts>>;
  readonly blocks: CollectedBlocks;
  readonly rings: Map<string, number>;
  readonly limits: Map<string, number>;
  readonly verdicts: Map<string, Verdict>;
  /** By `LOAD_BALANCER/POOL`. */
  readonly drains: Map<string, Map<string, Drain>>;
}

interface CollectedPorts {
  backendPool: string;
  readonly assigned: PortAssignment[];
  readonly former: Map<number, string>;
}

function collect(rows: Iterable<Row>): Collected {
  const collected: Collected = {
    loadBalancers: new Map(),
    members: new Map(),
    ports: new Map(),
    blocks: new Map(),
    rings: new Map(),
    limits: new Map(),
    verdicts: new Map(),
    drains: new Map(),
  };
  for (const { kind, key, value } of rows) {
    const [name = '', second = '', third = ''] = key;
    switch (kind) {
      case 'load-balancer':
        collected.loadBalancers.set(name, complete(JSON.parse(value)));
        break;
      case 'member':
        listAt(collected.members, `${name}/${second}`).push(JSON.parse(value));
        break;
      case 'port': {
        const { backendPool, port, since } = JSON.parse(value);
        const ports = portsAt(collected, name, second, backendPool);
        ports.assigned.push({ member: third, port, since });
        break;
      }
      case 'former-port': {
        const { backendPool, member } = JSON.parse(value);
        portsAt(collected, name, second, backendPool).former.set(Number(third), member);
        break;
      }
      case 'outbound':
        listAt(collected.blocks, name).push({ rule: second, member: third, ...JSON.parse(value) });
        break;
      case 'ring':
        collected.rings.set(key.join('/'), ringNumberOf(value));
        break;
      case 'limit':
        collected.limits.set(key.join('/'), Number(value));
        break;
      case 'verdict':
        collected.verdicts.set(name, JSON.parse(value));
        break;
      case 'drain': {
        const pool = collected.drains.get(`${name}/${second}`) ?? new Map<string, Drain>();
        collected.drains.set(`${name}/${second}`, pool.set(third, JSON.parse(value)));
        break;
      }
      case 'turn':
        break;
    }
  }
  return collected;
}

/** What earlier versions wrote lacks these fields, and with `probes` those that came with them. */
type Written = StoredLoadBalancer & {
  readonly probes?: readonly Probe[];
  readonly outboundRules?: readonly OutboundRule[];
};

function complete(written: Written): StoredLoadBalancer {
  const outboundRules = written.outboundRules ?? [];
  if (written.probes !== undefined) return { ...written, outboundRules };
  return {
    ...written,
    outboundRules,
    probes: [],
    inboundNatRules: written.inboundNatRules.map((rule) => ({ ...rule, whenUnhealthy: 'forward' })),
    loadBalancingRules: written.loadBalancingRules.map((rule) => ({
      ...rule,
      probe: '',
      noHealthyBackends: 'down',
    })),
  };
}

function listAt<K, V>(map: Map<K, V[]>, key: K): V[] {
  let list = map.get(key);
  if (list === undefined) {
    list = [];
    map.set(key, list);
  }
  return list;
}

function portsAt(collected: Collected, name: string, rule: string, backendPool: string): CollectedPorts {
  let rules = collected.ports.get(name);
  if (rules === undefined) {
    rules = new Map();
    collected.ports.set(name, rules);
  }
  let ports = rules.get(rule);
  if (ports === undefined) {
    ports = { backendPool, assigned: [], former: new Map() };
    rules.set(rule, ports);
  }
  return ports;
}

function loadBalancerOf(stored: StoredLoadBalancer, collected: Collected): LoadBalancer {
  const backendPools = stored.backendPools.map((name): BackendPool => {
    const placed = collected.members.get(`${stored.name}/${name}`) ?? [];
    placed.sort((a, b) => a.position - b.position);
    const pool = { name, members: placed.map(({ member }) => member) };
    rememberPositions(
      pool,
      placed.map(({ position }) => position),
    );
    return pool;
  });
  return { ...stored, backendPools };
}

function portsOf(collected: Collected): Ports {
  return emptyPorts.withMutations((all) => {
    for (const [name, rules] of collected.ports) {
      const stored = collected.loadBalancers.get(name);
      if (stored === undefined) continue;
      // In the order of the rules, and inside of the pool, as the allocator leaves them.
      const ordered = new Map<string, RulePorts>();
      for (const rule of stored.inboundNatRules) {
        const ports = rules.get(rule.name);
        if (ports === undefined) continue;
        const members = collected.members.get(`${name}/${ports.backendPool}`) ?? [];
        const order = new Map(members.map(({ member }, index) => [member.id, index]));
        ports.assigned.sort((a, b) => (order.get(a.member) ?? 0) - (order.get(b.member) ?? 0));
        ordered.set(rule.name, {
          backendPool: ports.backendPool,
          assigned: new Map(ports.assigned.map((assignment) => [assignment.member, assignment])),
          former: ports.former,
        });
      }
      all.set(name, ordered satisfies LoadBalancerPorts);
    }
  });
}
