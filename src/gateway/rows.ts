// The difference of two states as rows of the store: what changed is written, and nothing else.
import { poolOfRing } from '../forwarding/ring-names.ts';
import type { LoadBalancerPorts, RulePorts } from '../ports/assignment.ts';
import type { LoadBalancerOutbound, OutboundBlock, OutboundRulePorts } from '../ports/outbound.ts';
import type { BackendPool, LoadBalancer, Member } from '../resources/model.ts';
import type { RowChange, RowKey } from '../store/store.ts';
import { differingPart } from './differing-part.ts';
import { drainRows } from './drain-rows.ts';
import { positionsOf } from './positions.ts';
import { ringNumberText } from './ring-number-text.ts';
import type { State } from './state.ts';

/**
 * The rows that differ, with their values on both sides, for the named load balancers. Made while they are read, so
 * that a large change need not be held as rows; may be read more than once.
 */
export function rowChanges(before: State, after: State, changed: readonly string[]): Iterable<RowChange> {
  return {
    *[Symbol.iterator]() {
      for (const name of changed) {
        const was = before.configuration.get(name);
        const is = after.configuration.get(name);
        yield* loadBalancerRow(name, was, is);
        yield* memberRows(name, was, is);
        yield* portRows(name, before.ports.get(name), after.ports.get(name));
        yield* outboundRows(name, before.outbound.ports.get(name), after.outbound.ports.get(name));
        yield* ringRows(name, before, after);
        yield* limitRows(name, before, after);
        yield* drainRows(before.drains, after.drains, name);
      }
    },
  };
}

/** A load balancer as it is stored: its members stand in rows of their own. */
export type StoredLoadBalancer = Omit<LoadBalancer, 'backendPools'> & {
  readonly backendPools: readonly string[];
};

function* loadBalancerRow(
  name: string,
  was: LoadBalancer | undefined,
  is: LoadBalancer | undefined,
): Iterable<RowChange> {
  if (was !== undefined && is !== undefined && sameButMembers(was, is)) return;
  yield {
    kind: 'load-balancer',
    key: [name],
    before: was && storedLoadBalancer(was),
    after: is && storedLoadBalancer(is),
  };
}

function storedLoadBalancer(loadBalancer: LoadBalancer): string {
  const backendPools = loadBalancer.backendPools.map((pool) => pool.name);
  return JSON.stringify({ ...loadBalancer, backendPools } satisfies StoredLoadBalancer);
}

function sameButMembers(was: LoadBalancer, is: LoadBalancer): boolean {
  return (
    was.frontends === is.frontends &&
    was.probes === is.probes &&
    was.inboundNatRules === is.inboundNatRules &&
    was.loadBalancingRules === is.loadBalancingRules &&
    was.outboundRules === is.outboundRules &&
    was.backendPools.length === is.backendPools.length &&
    was.backendPools.every((pool, index) => pool.name === is.backendPools[index]?.name)
  );
}

function* memberRows(
  name: string,
  was: LoadBalancer | undefined,
  is: LoadBalancer | undefined,
): Iterable<RowChange> {
  const poolsBefore = new Map(was?.backendPools.map((pool) => [pool.name, pool]));
  for (const pool of is?.backendPools ?? []) {
    yield* poolRows([name, pool.name], poolsBefore.get(pool.name), pool);
    poolsBefore.delete(pool.name);
  }
  for (const pool of poolsBefore.values()) yield* poolRows([name, pool.name], pool, undefined);
}

function* poolRows(
  pool: readonly string[],
  was: BackendPool | undefined,
  is: BackendPool | undefined,
): Iterable<RowChange> {
  if (was === is) return;
  const wasAt = was === undefined ? [] : positionsOf(was);
  const isAt = is === undefined ? [] : positionsOf(is, was);
  const same = (former: number, present: number) =>
    was?.members[former] === is?.members[present] && wasAt[former] === isAt[present];
  const part = differingPart(wasAt.length, isAt.length, same);
  const former = was?.members.slice(part.start, part.formerEnd) ?? [];
  const present = is?.members.slice(part.start, part.presentEnd) ?? [];
  const left = new Map(former.map(({ id }, index) => [id, part.start + index]));
  for (const [index, member] of present.entries()) {
    const now = part.start + index;
    const then = left.get(member.id);
    left.delete(member.id);
    if (then !== undefined && same(then, now)) continue;
    yield {
      ...memberKey(pool, member),
      before: then === undefined ? undefined : storedMember(was?.members[then], wasAt[then]),
      after: storedMember(member, isAt[now]),
    };
  }
  for (const then of left.values()) {
    const member = was?.members[then];
    if (member === undefined) continue;
    yield { ...memberKey(pool, member), before: storedMember(member, wasAt[then]), after: undefined };
  }
}

function memberKey(pool: readonly string[], { id }: Member): RowKey {
  return { kind: 'member', key: [...pool, id] };
}

function storedMember(member: Member | undefined, position: number | undefined): string {
  return JSON.stringify({ position, member });
}

function* portRows(
  name: string,
  was: LoadBalancerPorts | undefined,
  is: LoadBalancerPorts | undefined,
): Iterable<RowChange> {
  if (was === is) return;
  for (const [rule, ports] of is ?? []) yield* rulePortRows([name, rule], was?.get(rule), ports);
  for (const [rule, ports] of was ?? []) {
    if (is?.has(rule) !== true) yield* rulePortRows([name, rule], ports, undefined);
  }
}

function* rulePortRows(
  rule: readonly string[],
  was: RulePorts | undefined,
  is: RulePorts | undefined,
): Iterable<RowChange> {
  if (was === is) return;
  // The pool's name is part of each row.
  const samePool = was?.backendPool === is?.backendPool;
  for (const [member, earlier, now] of differing(was?.assigned, is?.assigned, samePool)) {
    yield {
      kind: 'port',
      key: [...rule, member],
      before:
        earlier &&
        JSON.stringify({ backendPool: was?.backendPool, port: earlier.port, since: earlier.since }),
      after: now && JSON.stringify({ backendPool: is?.backendPool, port: now.port, since: now.since }),
    };
  }
  for (const [port, earlier, now] of differing(was?.former, is?.former, samePool)) {
    yield {
      kind: 'former-port',
      key: [...rule, String(port)],
      before: earlier && JSON.stringify({ backendPool: was?.backendPool, member: earlier }),
      after: now && JSON.stringify({ backendPool: is?.backendPool, member: now }),
    };
  }
}

function* outboundRows(
  name: string,
  was: LoadBalancerOutbound | undefined,
  is: LoadBalancerOutbound | undefined,
): Iterable<RowChange> {
  if (was === is) return;
  for (const rule of new Set([...(was?.keys() ?? []), ...(is?.keys() ?? [])])) {
    const [earlier, now] = [was?.get(rule), is?.get(rule)];
    const samePool = earlier?.backendPool === now?.backendPool;
    for (const [member, former, present] of differing(earlier?.blocks, now?.blocks, samePool)) {
      yield {
        kind: 'outbound',
        key: [name, rule, member],
        before: former && storedBlock(earlier, former),
        after: present && storedBlock(now, present),
      };
    }
  }
}

function storedBlock(ports: OutboundRulePorts | undefined, block: OutboundBlock): string {
  const { address, first, last, since } = block;
  return JSON.stringify({ backendPool: ports?.backendPool, address, first, last, since });
}

function* ringRows(name: string, before: State, after: State): Iterable<RowChange> {
  const was = before.table.loadBalancers.get(name)?.rings;
  const is = after.table.loadBalancers.get(name)?.rings;
  if (was === is) return;
  for (const [ring, earlier, now] of differing(was, is, true)) {
    if (earlier?.number === now?.number) continue;
    yield {
      kind: 'ring',
      key: [name, ...splitRing(ring)],
      before: earlier && ringNumberText(earlier.number),
      after: now && ringNumberText(now.number),
    };
  }
}

function* limitRows(name: string, before: State, after: State): Iterable<RowChange> {
  const was = before.table.loadBalancers.get(name)?.limits;
  const is = after.table.loadBalancers.get(name)?.limits;
  if (was === is) return;
  for (const [rule, earlier, now] of differing(was, is, true)) {
    if (earlier?.number === now?.number) continue;
    yield {
      kind: 'limit',
      key: [name, ...rule.split('/')],
      before: earlier && String(earlier.number),
      after: now && String(now.number),
    };
  }
}

/** The pool, and after it what else the ring's name says. */
function splitRing(ring: string): readonly string[] {
  const pool = poolOfRing(ring);
  return ring === pool ? [pool] : [pool, ring.slice(pool.length + 1)];
}

/** Keys whose values differ, with both; with `comparable` false, every key of either. */
function* differing<K, V>(
  was: ReadonlyMap<K, V> = new Map<K, V>(),
  is: ReadonlyMap<K, V> = new Map<K, V>(),
  comparable: boolean,
): Iterable<[K, V | undefined, V | undefined]> {
  // Mostly a few entries at the end differ: walking side by side finds the equal ones without looking them up.
  const beside = was.entries();
  let inStep = comparable;
  for (const [key, now] of is) {
    if (inStep) {
      const { value: earlier } = beside.next();
      if (earlier !== undefined && earlier[0] === key && earlier[1] === now) continue;
      inStep = false;
    }
    const earlier = was.get(key);
    if (!comparable || earlier !== now) yield [key, earlier, now];
  }
  for (const [key, earlier] of was) if (!is.has(key)) yield [key, earlier, undefined];
}
