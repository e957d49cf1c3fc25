// The difference of two states as rows of the store: what changed is written, and nothing else.
import type { LoadBalancerPorts, RulePorts } from '../ports/assignment.ts';
import type { BackendPool, LoadBalancer } from '../resources/model.ts';
import type { Delta, Row, RowKey } from '../store/store.ts';
import { positionsOf } from './positions.ts';
import type { State } from './state.ts';

/** The rows that lead from one state to the other; swap the two for the way back. */
export function deltaBetween(before: State, after: State, changed: Iterable<string>): Delta {
  const delta: MutableDelta = { put: [], delete: [] };
  for (const name of changed) {
    const was = before.configuration.get(name);
    const is = after.configuration.get(name);
    loadBalancerRow(name, was, is, delta);
    memberRows(name, was, is, delta);
    portRows(name, before.ports.get(name), after.ports.get(name), delta);
    ringRows(name, before, after, delta);
  }
  return delta;
}

interface MutableDelta {
  readonly put: Row[];
  readonly delete: RowKey[];
}

/** A load balancer as it is stored: its members stand in rows of their own. */
export type StoredLoadBalancer = Omit<LoadBalancer, 'backendPools'> & {
  readonly backendPools: readonly string[];
};

function loadBalancerRow(
  name: string,
  was: LoadBalancer | undefined,
  is: LoadBalancer | undefined,
  delta: MutableDelta,
): void {
  const key: RowKey = { kind: 'load-balancer', key: [name] };
  if (is === undefined) delta.delete.push(key);
  else if (was === undefined || !sameButMembers(was, is)) {
    const stored: StoredLoadBalancer = { ...is, backendPools: is.backendPools.map((pool) => pool.name) };
    delta.put.push({ ...key, value: JSON.stringify(stored) });
  }
}

function sameButMembers(was: LoadBalancer, is: LoadBalancer): boolean {
  return (
    was.frontends === is.frontends &&
    was.inboundNatRules === is.inboundNatRules &&
    was.loadBalancingRules === is.loadBalancingRules &&
    was.backendPools.length === is.backendPools.length &&
    was.backendPools.every((pool, index) => pool.name === is.backendPools[index]?.name)
  );
}

function memberRows(
  name: string,
  was: LoadBalancer | undefined,
  is: LoadBalancer | undefined,
  delta: MutableDelta,
): void {
  const poolsBefore = new Map(was?.backendPools.map((pool) => [pool.name, pool]));
  for (const pool of is?.backendPools ?? []) {
    poolRows(name, poolsBefore.get(pool.name), pool, delta);
    poolsBefore.delete(pool.name);
  }
  for (const pool of poolsBefore.values()) {
    for (const member of pool.members) {
      delta.delete.push({ kind: 'member', key: [name, pool.name, member.id] });
    }
  }
}

function poolRows(name: string, was: BackendPool | undefined, is: BackendPool, delta: MutableDelta): void {
  if (was === is) return;
  const before = new Map(
    was?.members.map((member, index) => [member.id, { member, position: positionsOf(was)[index] }]),
  );
  const positions = positionsOf(is, was);
  is.members.forEach((member, index) => {
    const position = positions[index];
    const earlier = before.get(member.id);
    before.delete(member.id);
    if (earlier?.member === member && earlier.position === position) return;
    delta.put.push({
      kind: 'member',
      key: [name, is.name, member.id],
      value: JSON.stringify({ position, member }),
    });
  });
  for (const id of before.keys()) delta.delete.push({ kind: 'member', key: [name, is.name, id] });
}

function portRows(
  name: string,
  was: LoadBalancerPorts | undefined,
  is: LoadBalancerPorts | undefined,
  delta: MutableDelta,
): void {
  if (was === is) return;
  for (const [rule, ports] of is ?? []) rulePortRows(name, rule, was?.get(rule), ports, delta);
  for (const [rule, ports] of was ?? []) {
    if (is?.has(rule) !== true) rulePortRows(name, rule, ports, undefined, delta);
  }
}

function rulePortRows(
  name: string,
  rule: string,
  was: RulePorts | undefined,
  is: RulePorts | undefined,
  delta: MutableDelta,
): void {
  if (was === is) return;
  const samePool = was?.backendPool === is?.backendPool;
  for (const [member, assignment] of is?.assigned ?? []) {
    if (samePool && was?.assigned.get(member) === assignment) continue;
    const { port, since } = assignment;
    delta.put.push({
      kind: 'port',
      key: [name, rule, member],
      value: JSON.stringify({ backendPool: is?.backendPool, port, since }),
    });
  }
  for (const member of was?.assigned.keys() ?? []) {
    if (is?.assigned.has(member) !== true) delta.delete.push({ kind: 'port', key: [name, rule, member] });
  }
  for (const [port, member] of is?.former ?? []) {
    if (samePool && was?.former.get(port) === member) continue;
    const value = JSON.stringify({ backendPool: is?.backendPool, member });
    delta.put.push({ kind: 'former-port', key: [name, rule, String(port)], value });
  }
  for (const port of was?.former.keys() ?? []) {
    if (is?.former.has(port) !== true) {
      delta.delete.push({ kind: 'former-port', key: [name, rule, String(port)] });
    }
  }
}

function ringRows(name: string, before: State, after: State, delta: MutableDelta): void {
  const was = before.table.loadBalancers.get(name)?.rings;
  const is = after.table.loadBalancers.get(name)?.rings;
  if (was === is) return;
  for (const [pool, ring] of is ?? []) {
    if (was?.get(pool)?.number === ring.number) continue;
    delta.put.push({ kind: 'ring', key: [name, pool], value: String(ring.number) });
  }
  for (const pool of was?.keys() ?? []) {
    if (is?.has(pool) !== true) delta.delete.push({ kind: 'ring', key: [name, pool] });
  }
}
