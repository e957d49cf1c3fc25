// One load-balancing rule.
import type { LoadBalancingRuleDraft } from './draft.ts';
import { parseDuration } from './durations.ts';
import { at, type Field } from './field.ts';
import type { LoadBalancingRule, NoHealthyBackends } from './model.ts';
import { parseName, parseReference } from './names.ts';
import { parseEnum, parseProtocol } from './numbers.ts';
import { parseFlow } from './parse-flow.ts';
import { parseFlowLimits } from './parse-flow-limits.ts';
import { parsePortPair } from './parse-port-pair.ts';
import type { Report } from './report.ts';

const persistences = ['none', 'none', 'client-ip', 'client-ip-protocol'] as const;
const noHealthyBackends = ['down', 'down', 'up'] as const;

/** Milliseconds. */
const shortestDrain = 1_000;
const longestDrain = 86_400_000;

/** Undefined, and reported, when anything in it is wrong. Whether what it names exists is checked later. */
export function parseBalancingRule(
  draft: LoadBalancingRuleDraft,
  field: Field,
  report: Report,
): LoadBalancingRule | undefined {
  const name = parseName(draft.name, at(field, 'name'), report);
  const frontend = parseReference(draft.frontend, 'frontend', at(field, 'frontend'), report);
  const protocol = parseProtocol(draft.protocol, at(field, 'protocol'), report);
  const ports = parsePortPair(
    { value: draft.frontendPort ?? 0, field: at(field, 'frontend_port') },
    { value: draft.backendPort ?? 0, field: at(field, 'backend_port') },
    protocol,
    report,
  );
  const backendPool = parseReference(draft.backendPool, 'backend pool', at(field, 'backend_pool'), report);
  const sessionPersistence = parseEnum(
    persistences,
    draft.sessionPersistence,
    'session_persistence',
    at(field, 'session_persistence'),
    report,
  );
  const probe = draft.probe ?? '';
  const noHealthyBackends = parseNoHealthyBackends(draft, at(field, 'no_healthy_backends'), report);
  const drainPeriod = parseDrainPeriod(draft, at(field, 'drain_period'), report);
  const flow = parseFlow(draft.flow, 'balanced', protocol, at(field, 'flow'), report);
  const limits = parseFlowLimits(draft.limits, at(field, 'limits'), report);
  if (draft.flow?.floatingIp === true && limits !== 'none') {
    const remedy = 'with floating_ip the gateway keeps no flows to count or to end: leave limits unset';
    report(at(field, 'limits'), 'FIELDS_CONFLICT', remedy);
  }
  if (name === undefined || frontend === undefined || protocol === undefined) return undefined;
  if (ports === undefined || backendPool === undefined) return undefined;
  if (sessionPersistence === undefined || noHealthyBackends === undefined || flow === undefined) {
    return undefined;
  }
  if (drainPeriod === undefined || limits === undefined) return undefined;
  return {
    name,
    frontend,
    protocol,
    ...ports,
    backendPool,
    probe,
    sessionPersistence,
    noHealthyBackends,
    flow,
    ...(drainPeriod !== 'unset' && { drainPeriod }),
    ...(limits !== 'none' && { limits }),
  };
}

function parseDrainPeriod(
  { drainPeriod }: LoadBalancingRuleDraft,
  field: Field,
  report: Report,
): number | 'unset' | undefined {
  if (drainPeriod === undefined || drainPeriod === null) return 'unset';
  const bounds = { what: 'drain_period', first: shortestDrain, last: longestDrain, unset: 0 };
  return parseDuration(drainPeriod, bounds, field, report);
}

function parseNoHealthyBackends(
  draft: LoadBalancingRuleDraft,
  field: Field,
  report: Report,
): NoHealthyBackends | undefined {
  const value = parseEnum(noHealthyBackends, draft.noHealthyBackends, 'no_healthy_backends', field, report);
  if (value === 'up' && !draft.probe) {
    report(
      field,
      'FIELDS_CONFLICT',
      'ALL_PROBED_UP has no meaning without a probe: name one, or leave it unset',
    );
  }
  return value;
}
