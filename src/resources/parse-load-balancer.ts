// One load balancer as a request puts it; it may come in several parts.
import type { LoadBalancerDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import { limits, withinLimit } from './limits.ts';
import type {
  BackendPool,
  Frontend,
  InboundNatRule,
  LoadBalancer,
  LoadBalancingRule,
  OutboundRule,
} from './model.ts';
import { checkUnique, parseName } from './names.ts';
import { parseBalancingRule } from './parse-balancing-rule.ts';
import { parseFrontend } from './parse-frontend.ts';
import { parseNatRule } from './parse-nat-rule.ts';
import { parseOutboundRule } from './parse-outbound-rule.ts';
import { type PoolPart, parsePool } from './parse-pool.ts';
import { parseProbe } from './parse-probe.ts';
import type { Report } from './report.ts';
import { shareByName } from './sharing.ts';

export interface LoadBalancerPart {
  readonly draft: LoadBalancerDraft;
  readonly field: Field;
}

/** A thing and where it stands in the request. */
export interface Located<T> {
  readonly value: T;
  readonly field: Field;
}

export interface ParsedLoadBalancer {
  /** Without what was wrong; what equals the load balancer as it was is the same object. */
  readonly loadBalancer: LoadBalancer;
  readonly parts: readonly LoadBalancerPart[];
  readonly natRules: readonly Located<InboundNatRule>[];
  readonly balancingRules: readonly Located<LoadBalancingRule>[];
  readonly outboundRules: readonly Located<OutboundRule>[];
  /** All that are declared, those that were wrong included. */
  readonly frontendNames: ReadonlySet<string>;
  readonly poolNames: ReadonlySet<string>;
  readonly probeNames: ReadonlySet<string>;
}

/** Checks all that can be seen without the rest of the request; reports and leaves out what is wrong. */
export function parseLoadBalancer(
  name: string,
  parts: readonly LoadBalancerPart[],
  previous: LoadBalancer | undefined,
  report: Report,
): ParsedLoadBalancer {
  const frontendNames = new Set<string>();
  const frontends = parseFrontends(parts, frontendNames, report);
  const poolNames = new Set<string>();
  const backendPools = parsePools(parts, previous, poolNames, report);
  const probeNames = new Set(parts.flatMap(({ draft }) => draft.probes ?? []).map(({ name }) => name ?? ''));
  const probes = parseNamed(
    parts,
    'probes',
    limits.probes,
    (draft) => draft.probes,
    'probe',
    parseProbe,
    report,
  );
  const natRules = parseNamed(
    parts,
    'inbound_nat_rules',
    limits.rules,
    (draft) => draft.inboundNatRules,
    'inbound NAT rule',
    parseNatRule,
    report,
  );
  const balancingRules = parseNamed(
    parts,
    'load_balancing_rules',
    limits.rules,
    (draft) => draft.loadBalancingRules,
    'load-balancing rule',
    parseBalancingRule,
    report,
  );
  const outboundRules = parseNamed(
    parts,
    'outbound_rules',
    limits.rules,
    (draft) => draft.outboundRules,
    'outbound rule',
    parseOutboundRule,
    report,
  );
  const loadBalancer = shared(previous, {
    name,
    frontends: shareByName(previous?.frontends, frontends),
    backendPools: shareByName(previous?.backendPools, backendPools),
    probes: shareByName(previous?.probes, probes.map(declaredOf)),
    inboundNatRules: shareByName(previous?.inboundNatRules, natRules.map(declaredOf)),
    loadBalancingRules: shareByName(previous?.loadBalancingRules, balancingRules.map(declaredOf)),
    outboundRules: shareByName(previous?.outboundRules, outboundRules.map(declaredOf)),
  });
  const names = { frontendNames, poolNames, probeNames };
  return { loadBalancer, parts, natRules, balancingRules, outboundRules, ...names };
}

function declaredOf<T>(located: Located<T>): T {
  return located.value;
}

function shared(previous: LoadBalancer | undefined, next: LoadBalancer): LoadBalancer {
  const isSame =
    previous !== undefined &&
    previous.frontends === next.frontends &&
    previous.backendPools === next.backendPools &&
    previous.probes === next.probes &&
    previous.inboundNatRules === next.inboundNatRules &&
    previous.loadBalancingRules === next.loadBalancingRules &&
    previous.outboundRules === next.outboundRules;
  return isSame ? previous : next;
}

function parseFrontends(
  parts: readonly LoadBalancerPart[],
  names: Set<string>,
  report: Report,
): readonly Frontend[] {
  const frontends: Frontend[] = [];
  const addresses = new Map<string, string>();
  for (const { draft, field } of allOf(parts, 'frontends', limits.frontends, (of) => of.frontends, report)) {
    checkUnique(draft.name || undefined, 'frontend', names, at(field, 'name'), report);
    const frontend = parseFrontend(draft, field, report);
    if (frontend === undefined) continue;
    const holder = addresses.get(frontend.address);
    if (holder !== undefined) {
      const fault = `address ${frontend.address} is also that of frontend ${holder}: one frontend may serve many rules`;
      report(at(field, 'address'), 'ADDRESS_DUPLICATE', fault);
    }
    addresses.set(frontend.address, frontend.name);
    frontends.push(frontend);
  }
  return frontends;
}

/** Pools of one name in different parts are joined; twice in one part is a mistake. */
function parsePools(
  parts: readonly LoadBalancerPart[],
  previous: LoadBalancer | undefined,
  names: Set<string>,
  report: Report,
): readonly BackendPool[] {
  const pieces = new Map<string, PoolPart[]>();
  const unnamed: PoolPart[] = [];
  for (const part of parts) {
    const namesOfPart = new Set<string>();
    for (const piece of allOf(
      [part],
      'backend_pools',
      limits.backendPools,
      (of) => of.backendPools,
      report,
    )) {
      const nameField = at(piece.field, 'name');
      const name = parseName(piece.draft.name, nameField, report);
      checkUnique(name, 'backend pool', namesOfPart, nameField, report);
      if (piece.draft.name) names.add(piece.draft.name);
      const known = name === undefined ? unnamed : pieces.get(name);
      if (known !== undefined) known.push(piece);
      else if (name !== undefined) pieces.set(name, [piece]);
    }
  }
  for (const piece of unnamed) parsePool('', [piece], undefined, report);
  const before = new Map(previous?.backendPools.map((pool) => [pool.name, pool]));
  return [...pieces].map(([name, list]) => parsePool(name, list, before.get(name), report));
}

function parseNamed<Draft extends { readonly name?: string }, Named>(
  parts: readonly LoadBalancerPart[],
  fieldName: string,
  limit: number,
  listOf: (draft: LoadBalancerDraft) => readonly Draft[] | undefined,
  what: string,
  parse: (draft: Draft, field: Field, report: Report) => Named | undefined,
  report: Report,
): readonly Located<Named>[] {
  const names = new Set<string>();
  const found: Located<Named>[] = [];
  for (const { draft, field } of allOf(parts, fieldName, limit, listOf, report)) {
    checkUnique(draft.name || undefined, what, names, at(field, 'name'), report);
    const value = parse(draft, field, report);
    if (value !== undefined) found.push({ value, field });
  }
  return found;
}

/** The elements of one repeated field over all parts; none, and reported, when there are more than `limit`. */
function allOf<Draft>(
  parts: readonly LoadBalancerPart[],
  fieldName: string,
  limit: number,
  listOf: (draft: LoadBalancerDraft) => readonly Draft[] | undefined,
  report: Report,
): readonly { readonly draft: Draft; readonly field: Field }[] {
  const elements = parts.flatMap((part) =>
    (listOf(part.draft) ?? []).map((draft, index) => ({ draft, field: at(part.field, fieldName, index) })),
  );
  const field = at(parts.at(-1)?.field ?? { name: '' }, fieldName);
  const what = `${fieldName} in a load balancer`;
  return withinLimit(elements.length, limit, what, field, report) ? elements : [];
}
