// One inbound NAT rule: to a single target, or to the machines of a pool.
import type { RuleProtocol } from './address.ts';
import type { InboundNatRuleDraft, SingleTargetDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import { parseMachineAddress } from './machine-address.ts';
import type {
  FlowLimits,
  FlowOptions,
  InboundNatRule,
  SingleTarget,
  SingleTargetRule,
  WhenUnhealthy,
} from './model.ts';
import { parseName, parseReference, quoted } from './names.ts';
import { parseEnum, parseProtocol } from './numbers.ts';
import { parseFlow } from './parse-flow.ts';
import { parseFlowLimits } from './parse-flow-limits.ts';
import { parsePoolTargets } from './parse-pool-targets.ts';
import { parsePortPair } from './parse-port-pair.ts';
import type { Report } from './report.ts';

const whenUnhealthy = ['forward', 'forward', 'refuse'] as const;

/** Undefined, and reported, when anything in it is wrong. Whether what it names exists is checked later. */
export function parseNatRule(
  draft: InboundNatRuleDraft,
  field: Field,
  report: Report,
): InboundNatRule | undefined {
  const name = parseName(draft.name, at(field, 'name'), report);
  const frontend = parseReference(draft.frontend, 'frontend', at(field, 'frontend'), report);
  const protocol = parseProtocol(draft.protocol, at(field, 'protocol'), report);
  const flow = parseFlow(draft.flow, 'nat', protocol, at(field, 'flow'), report);
  const limits = parseFlowLimits(draft.limits, at(field, 'limits'), report);
  const unhealthyField = at(field, 'when_unhealthy');
  const unhealthy = parseEnum(whenUnhealthy, draft.whenUnhealthy, 'when_unhealthy', unhealthyField, report);
  const kind = parseKind(draft, protocol, field, report);
  if (unhealthy === 'refuse' && kind?.kind === 'single' && kind.target.kind !== 'member') {
    const remedy = 'REFUSE needs a member of a pool, whose probes say how it is: name one, or leave it unset';
    report(unhealthyField, 'FIELDS_CONFLICT', remedy);
  }
  if (name === undefined || frontend === undefined || protocol === undefined) return undefined;
  if (flow === undefined || kind === undefined || unhealthy === undefined) return undefined;
  if (limits === undefined) return undefined;
  const head: Head = {
    name,
    frontend,
    protocol,
    flow,
    whenUnhealthy: unhealthy,
    ...(limits !== 'none' && { limits }),
  };
  return { ...head, ...kind };
}

interface Head {
  readonly name: string;
  readonly frontend: string;
  readonly protocol: RuleProtocol;
  readonly flow: FlowOptions;
  readonly whenUnhealthy: WhenUnhealthy;
  readonly limits?: FlowLimits;
}

type Kind<Rule> = Rule extends InboundNatRule ? Omit<Rule, keyof Head> : never;

function parseKind(
  draft: InboundNatRuleDraft,
  protocol: RuleProtocol | undefined,
  field: Field,
  report: Report,
): Kind<InboundNatRule> | undefined {
  const single = draft.single ?? undefined;
  const pool = draft.pool ?? undefined;
  if (single !== undefined && pool !== undefined) {
    report(at(field, 'pool'), 'FIELDS_CONFLICT', 'single and pool exclude each other: set one of them');
    return undefined;
  }
  if (single !== undefined) return parseSingle(draft, single, protocol, field, report);
  if (pool !== undefined) return parsePoolTargets(draft, pool, field, report);
  report(at(field, 'kind'), 'FIELD_REQUIRED', 'set one of single and pool');
  return undefined;
}

function parseSingle(
  draft: InboundNatRuleDraft,
  single: SingleTargetDraft,
  protocol: RuleProtocol | undefined,
  field: Field,
  report: Report,
): Kind<SingleTargetRule> | undefined {
  const below = at(field, 'single');
  const ports = parsePortPair(
    { value: single.frontendPort ?? 0, field: at(below, 'frontend_port') },
    { value: draft.backendPort ?? 0, field: at(field, 'backend_port') },
    protocol,
    report,
  );
  const target = parseTarget(single, below, report);
  return ports === undefined || target === undefined ? undefined : { kind: 'single', ...ports, target };
}

function parseTarget(single: SingleTargetDraft, field: Field, report: Report): SingleTarget | undefined {
  const memberField = at(field, 'member');
  if (single.address && single.member) {
    report(memberField, 'FIELDS_CONFLICT', 'address and member exclude each other: set at most one of them');
    return undefined;
  }
  if (single.address) {
    const address = parseMachineAddress(single.address, at(field, 'address'), report);
    return address === undefined ? undefined : { kind: 'address', address };
  }
  if (!single.member) return { kind: 'none' };
  const slash = single.member.indexOf('/');
  if (slash > 0 && slash < single.member.length - 1) {
    return {
      kind: 'member',
      backendPool: single.member.slice(0, slash),
      id: single.member.slice(slash + 1),
    };
  }
  report(memberField, 'NAME_INVALID', `member ${quoted(single.member)}: must be POOL/ID`);
  return undefined;
}
