// What rules name must exist and be of one address family with the frontend, whichever way it came into the request.
import { familyOf, type IpAddress } from './address.ts';
import { rangeFamily } from './client-range.ts';
import { at, type Field } from './field.ts';
import type { PoolEdit } from './member-edits.ts';
import type {
  BackendPool,
  Frontend,
  InboundNatRule,
  LoadBalancer,
  LoadBalancingRule,
  Member,
  OutboundRule,
} from './model.ts';
import { quoted } from './names.ts';
import type { Located, ParsedLoadBalancer } from './parse-load-balancer.ts';
import type { Report } from './report.ts';

type Edits = ReadonlyMap<string, PoolEdit>;
const noEdits: Edits = new Map();

/** Checks every rule of a load balancer that the request puts; `final` is it after all edits of its members. */
export function checkRules(
  parsed: ParsedLoadBalancer,
  final: LoadBalancer,
  edits: Edits = noEdits,
  report: Report,
): void {
  const scope = scopeOf(final, edits);
  for (const rule of parsed.natRules) checkRule(rule, poolOf(rule.value), parsed, scope, report);
  for (const rule of parsed.balancingRules) {
    checkRule(rule, rule.value.backendPool, parsed, scope, report);
    checkProbe(rule, parsed, report);
  }
  for (const rule of parsed.outboundRules) checkOutbound(rule, parsed, scope, report);
  checkRefusing(parsed, final, report);
}

function checkOutbound(
  { value: rule, field }: Located<OutboundRule>,
  parsed: ParsedLoadBalancer,
  scope: Scope,
  report: Report,
): void {
  const owner = parsed.loadBalancer.name;
  const poolField = at(field, 'backend_pool');
  if (!parsed.poolNames.has(rule.backendPool)) reportUnknownPool(owner, rule.backendPool, poolField, report);
  let first: Frontend | undefined;
  for (const [index, name] of rule.frontends.entries()) {
    const frontendField = at(field, 'frontends', index);
    const frontend = scope.frontends.get(name);
    if (!parsed.frontendNames.has(name)) {
      const fault = `load balancer ${owner} has no frontend ${quoted(name)}`;
      report(frontendField, 'REFERENCE_UNKNOWN', `${fault}: declare it or name another`);
    }
    if (frontend === undefined) continue;
    first ??= frontend;
    checkFamily(rule.name, frontend, first.address, frontendField, report);
  }
  if (first === undefined) return;
  const stranger = scope.stranger(rule.backendPool, familyOf(first.address));
  if (stranger !== undefined) checkFamily(rule.name, first, stranger.address, poolField, report);
}

function checkProbe(
  { value: { probe }, field }: Located<LoadBalancingRule>,
  parsed: ParsedLoadBalancer,
  report: Report,
): void {
  if (probe === '' || parsed.probeNames.has(probe)) return;
  const fault = `load balancer ${parsed.loadBalancer.name} has no probe ${quoted(probe)}`;
  report(at(field, 'probe'), 'REFERENCE_UNKNOWN', `${fault}: declare it or name another`);
}

/** A rule that refuses what is unhealthy needs somebody who says what that is. */
function checkRefusing(parsed: ParsedLoadBalancer, final: LoadBalancer, report: Report): void {
  const probed = new Set(
    final.loadBalancingRules.flatMap(({ backendPool, probe }) => (probe === '' ? [] : [backendPool])),
  );
  for (const { value: rule, field } of parsed.natRules) {
    const pool =
      rule.kind === 'single' && rule.target.kind === 'member' ? rule.target.backendPool : poolOf(rule);
    if (rule.whenUnhealthy !== 'refuse' || pool === undefined || probed.has(pool)) continue;
    const fault = `REFUSE: no load-balancing rule of pool ${quoted(pool)} names a probe`;
    report(at(field, 'when_unhealthy'), 'FIELDS_CONFLICT', `${fault}: name one there, or leave it unset`);
  }
}

/** Checks edited members against the rules of their load balancer as it will be; costs nothing per other member. */
export function checkEdits(final: LoadBalancer, edits: Edits, report: Report): void {
  const frontends = new Map(final.frontends.map((frontend) => [frontend.name, frontend]));
  for (const edit of edits.values()) {
    for (const rule of [...final.inboundNatRules, ...final.loadBalancingRules]) {
      const pool = isSingle(rule) ? undefined : rule.backendPool;
      const frontend = frontends.get(rule.frontend);
      if (pool === edit.backendPool) {
        for (const put of edit.puts.values()) {
          checkFamily(rule.name, frontend, put.member.address, at(put.field, 'address'), report);
        }
      }
      if (!isSingle(rule) || rule.target.kind !== 'member') continue;
      if (rule.target.backendPool !== edit.backendPool) continue;
      const put = edit.puts.get(rule.target.id);
      if (put !== undefined) {
        checkFamily(rule.name, frontend, put.member.address, at(put.field, 'address'), report);
      }
      const removal = edit.deletes.get(rule.target.id);
      if (removal === undefined) continue;
      const fault = `member ${quoted(rule.target.id)} is the target of inbound NAT rule ${final.name}/${rule.name}`;
      report(removal, 'STILL_REFERENCED', `${fault}: remove the rule or its target in the same change`, {
        rule: rule.name,
      });
    }
    for (const rule of final.outboundRules) {
      const frontend = frontends.get(rule.frontends[0] ?? '');
      if (rule.backendPool !== edit.backendPool) continue;
      for (const put of edit.puts.values()) {
        checkFamily(rule.name, frontend, put.member.address, at(put.field, 'address'), report);
      }
    }
  }
}

interface Scope {
  readonly frontends: ReadonlyMap<string, Frontend>;
  readonly pools: ReadonlyMap<string, BackendPool>;
  readonly edits: Edits;
  /** A member of a pool by id. */
  member(pool: string, id: string): Member | undefined;
  /** A member of the pool, not from `put_members` (those are checked by themselves), with the other family. */
  stranger(pool: string, family: 4 | 6): Member | undefined;
}

function scopeOf(final: LoadBalancer, edits: Edits): Scope {
  const pools = new Map(final.backendPools.map((pool) => [pool.name, pool]));
  const membersOf = remember((pool: string) => {
    return new Map(pools.get(pool)?.members.map((member) => [member.id, member]));
  });
  const strangersOf = remember((pool: string) => {
    const puts = edits.get(pool)?.puts;
    const members = (pools.get(pool)?.members ?? []).filter((member) => !puts?.has(member.id));
    return {
      4: members.find((member) => familyOf(member.address) !== 4),
      6: members.find((member) => familyOf(member.address) !== 6),
    };
  });
  return {
    frontends: new Map(final.frontends.map((frontend) => [frontend.name, frontend])),
    pools,
    edits,
    member: (pool, id) => membersOf(pool).get(id),
    stranger: (pool, family) => strangersOf(pool)[family],
  };
}

function remember<T>(make: (key: string) => T): (key: string) => T {
  const made = new Map<string, { readonly value: T }>();
  return (key) => {
    const known = made.get(key) ?? { value: make(key) };
    made.set(key, known);
    return known.value;
  };
}

function checkRule(
  { value: rule, field }: Located<InboundNatRule | LoadBalancingRule>,
  pool: string | undefined,
  parsed: ParsedLoadBalancer,
  scope: Scope,
  report: Report,
): void {
  const owner = parsed.loadBalancer.name;
  if (!parsed.frontendNames.has(rule.frontend)) {
    const fault = `load balancer ${owner} has no frontend ${quoted(rule.frontend)}`;
    report(at(field, 'frontend'), 'REFERENCE_UNKNOWN', `${fault}: declare it or name another`);
  }
  const frontend = scope.frontends.get(rule.frontend);
  checkClients(rule, frontend, at(field, 'limits'), report);
  if (isSingle(rule)) {
    checkTarget(rule.target, rule.name, frontend, at(field, 'single'), parsed, scope, report);
    return;
  }
  if (pool === undefined) return;
  const poolField = at('kind' in rule ? at(field, 'pool') : field, 'backend_pool');
  if (!parsed.poolNames.has(pool)) reportUnknownPool(owner, pool, poolField, report);
  if (frontend === undefined) return;
  const stranger = scope.stranger(pool, familyOf(frontend.address));
  if (stranger !== undefined) checkFamily(rule.name, frontend, stranger.address, poolField, report);
}

function checkTarget(
  target: Extract<InboundNatRule, { kind: 'single' }>['target'],
  rule: string,
  frontend: Frontend | undefined,
  field: Field,
  parsed: ParsedLoadBalancer,
  scope: Scope,
  report: Report,
): void {
  if (target.kind === 'none') return;
  if (target.kind === 'address') {
    checkFamily(rule, frontend, target.address, at(field, 'address'), report);
    return;
  }
  const { backendPool, id } = target;
  const memberField = at(field, 'member');
  if (!parsed.poolNames.has(backendPool)) {
    reportUnknownPool(parsed.loadBalancer.name, backendPool, memberField, report);
    return;
  }
  const edit = scope.edits.get(backendPool);
  // Edited members are checked where the edit stands in the request.
  if (edit?.deletes.has(id) || edit?.puts.has(id) || !scope.pools.has(backendPool)) return;
  const member = scope.member(backendPool, id);
  if (member !== undefined) {
    checkFamily(rule, frontend, member.address, memberField, report);
    return;
  }
  const fault = `pool ${parsed.loadBalancer.name}/${backendPool} has no member ${quoted(id)}`;
  report(memberField, 'REFERENCE_UNKNOWN', `${fault}: declare it or name another`);
}

function checkFamily(
  rule: string,
  frontend: Frontend | undefined,
  address: IpAddress,
  field: Field,
  report: Report,
): void {
  if (frontend === undefined || familyOf(frontend.address) === familyOf(address)) return;
  const joined = `rule ${rule} joins frontend ${frontend.address} to ${address}`;
  report(field, 'FAMILY_MISMATCH', `${joined}: both must be IPv4, or both IPv6`);
}

function checkClients(
  { name, limits }: InboundNatRule | LoadBalancingRule,
  frontend: Frontend | undefined,
  field: Field,
  report: Report,
): void {
  if (frontend === undefined) return;
  const family = familyOf(frontend.address);
  for (const [index, range] of (limits?.allowedClients ?? []).entries()) {
    if (rangeFamily(range) === family) continue;
    const fault = `rule ${name} allows ${range} at frontend ${frontend.address}`;
    const remedy = `give ranges of IPv${family}, as its clients have`;
    report(at(field, 'allowed_clients', index), 'FAMILY_MISMATCH', `${fault}: ${remedy}`);
  }
}

function reportUnknownPool(loadBalancer: string, pool: string, field: Field, report: Report): void {
  const fault = `load balancer ${loadBalancer} has no backend pool ${quoted(pool)}`;
  report(field, 'REFERENCE_UNKNOWN', `${fault}: declare it or name another`);
}

function isSingle(
  rule: InboundNatRule | LoadBalancingRule,
): rule is Extract<InboundNatRule, { kind: 'single' }> {
  return 'kind' in rule && rule.kind === 'single';
}

function poolOf(rule: InboundNatRule): string | undefined {
  return rule.kind === 'pool' ? rule.backendPool : undefined;
}
