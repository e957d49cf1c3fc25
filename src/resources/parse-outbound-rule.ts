// One outbound rule.
import type { FlowOptionsDraft, OutboundRuleDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import type { OutboundRule } from './model.ts';
import { checkUnique, parseName, parseReference } from './names.ts';
import { parseProtocol } from './numbers.ts';
import type { Report } from './report.ts';
import { refuseUnsupported } from './unsupported.ts';

/** As in Azure: ports are set aside by eights, and this many of one address at most. */
export const outboundPortsStep = 8;
export const outboundPortsPerAddress = 64_000;

/** Undefined, and reported, when anything in it is wrong. Whether what it names exists is checked later. */
export function parseOutboundRule(
  draft: OutboundRuleDraft,
  field: Field,
  report: Report,
): OutboundRule | undefined {
  const name = parseName(draft.name, at(field, 'name'), report);
  const frontends = parseFrontends(draft.frontends ?? [], at(field, 'frontends'), field, report);
  const protocol = parseProtocol(draft.protocol, at(field, 'protocol'), report);
  const backendPool = parseReference(draft.backendPool, 'backend pool', at(field, 'backend_pool'), report);
  const portsPerMember = parsePorts(draft.portsPerMember ?? 0, at(field, 'ports_per_member'), report);
  refuseFlow(draft.flow ?? {}, at(field, 'flow'), report);
  if (name === undefined || frontends === undefined || protocol === undefined) return undefined;
  if (backendPool === undefined || portsPerMember === undefined) return undefined;
  return { name, frontends, protocol, backendPool, portsPerMember };
}

function parseFrontends(
  names: readonly string[],
  field: Field,
  parent: Field,
  report: Report,
): readonly string[] | undefined {
  if (names.length === 0) report(field, 'FIELD_REQUIRED', 'the name of at least one frontend is required');
  const seen = new Set<string>();
  const parsed = names.map((name, index) => {
    const place = at(parent, 'frontends', index);
    const reference = parseReference(name, 'frontend', place, report);
    checkUnique(reference, 'frontend', seen, place, report);
    return reference;
  });
  const found = parsed.filter((name) => name !== undefined);
  return found.length === 0 || found.length < names.length ? undefined : found;
}

function parsePorts(ports: number, field: Field, report: Report): number | undefined {
  if (ports % outboundPortsStep === 0 && ports >= 0 && ports <= outboundPortsPerAddress) return ports;
  const range = `a multiple of ${outboundPortsStep}, ${outboundPortsStep} to ${outboundPortsPerAddress}`;
  report(
    field,
    'VALUE_OUT_OF_RANGE',
    `ports_per_member ${ports}: must be ${range}, or 0 for what suits the pool's size`,
  );
  return undefined;
}

/** What other rules have and these do not, or not yet. */
function refuseFlow(flow: FlowOptionsDraft, field: Field, report: Report): void {
  const hasTimeout = flow.idleTimeout !== undefined && flow.idleTimeout !== null;
  refuseUnsupported(
    hasTimeout,
    'idle_timeout of an outbound rule',
    'leave it unset',
    at(field, 'idle_timeout'),
    report,
  );
  refuseUnsupported(
    flow.tcpReset === true,
    'tcp_reset of an outbound rule',
    'leave it false',
    at(field, 'tcp_reset'),
    report,
  );
  if (flow.floatingIp === true) {
    const remedy = 'connections of machines have no floating address: leave it false';
    report(at(field, 'floating_ip'), 'FIELDS_CONFLICT', remedy);
  }
  if (flow.sourceNat === 2) {
    const remedy = 'an outbound rule is for sources of its own already: leave source_nat unset';
    report(at(field, 'source_nat'), 'FIELDS_CONFLICT', remedy);
  }
}
