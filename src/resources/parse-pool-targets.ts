// The range of frontend ports that an inbound NAT rule sets aside for a pool.
import type { Port } from './address.ts';
import type { InboundNatRuleDraft, PoolTargetsDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import type { PoolRule } from './model.ts';
import { parseReference } from './names.ts';
import { lastBackendPort, lastFrontendPort, parseInteger } from './numbers.ts';
import type { Report } from './report.ts';

type PoolTargets = Pick<
  PoolRule,
  'kind' | 'backendPool' | 'rangeStart' | 'rangeEnd' | 'portsPerMember' | 'backendPort'
>;

/** Undefined, and reported, when anything in it is wrong. `field` is the rule's. */
export function parsePoolTargets(
  draft: InboundNatRuleDraft,
  pool: PoolTargetsDraft,
  field: Field,
  report: Report,
): PoolTargets | undefined {
  const below = at(field, 'pool');
  const backendPool = parseReference(pool.backendPool, 'backend pool', at(below, 'backend_pool'), report);
  const perMemberField = at(below, 'ports_per_member');
  const wanted = pool.portsPerMember || 1;
  const portsPerMember = parseInteger(wanted, 'ports', 1, lastFrontendPort, perMemberField, report);
  const backendPort = parseInteger(
    draft.backendPort ?? 0,
    'port',
    1,
    lastBackendPort,
    at(field, 'backend_port'),
    report,
  );
  if (backendPort !== undefined && portsPerMember !== undefined) {
    const last = backendPort + portsPerMember - 1;
    if (last > lastBackendPort) {
      const remedy = `would end at backend port ${last}: must end at ${lastBackendPort} or below`;
      report(perMemberField, 'VALUE_OUT_OF_RANGE', `${portsPerMember} ports from ${backendPort} ${remedy}`);
    }
  }
  const startField = at(below, 'frontend_port_range_start');
  const rangeStart = parseInteger(
    pool.frontendPortRangeStart ?? 0,
    'port',
    1,
    lastFrontendPort,
    startField,
    report,
  );
  const rangeEnd = parseRangeEnd(pool, rangeStart, portsPerMember, below, report);
  if (backendPool === undefined || portsPerMember === undefined || backendPort === undefined)
    return undefined;
  if (rangeStart === undefined || rangeEnd === undefined) return undefined;
  return { kind: 'pool', backendPool, rangeStart, rangeEnd, portsPerMember, backendPort };
}

function parseRangeEnd(
  pool: PoolTargetsDraft,
  start: Port | undefined,
  portsPerMember: number | undefined,
  field: Field,
  report: Report,
): Port | undefined {
  const end = pool.frontendPortRangeEnd ?? undefined;
  const maximum = pool.maximumMachines ?? undefined;
  const endField = at(field, 'frontend_port_range_end');
  const maximumField = at(field, 'maximum_machines');
  if (end !== undefined && maximum !== undefined) {
    const remedy = 'exclude each other: set one of them';
    report(maximumField, 'FIELDS_CONFLICT', `frontend_port_range_end and maximum_machines ${remedy}`);
    return undefined;
  }
  if (end !== undefined) return parseGivenEnd(end, start, portsPerMember, endField, report);
  if (maximum !== undefined) return endFromMaximum(maximum, start, portsPerMember, maximumField, report);
  const remedy = 'set one of frontend_port_range_end and maximum_machines';
  report(at(field, 'size'), 'FIELD_REQUIRED', remedy);
  return undefined;
}

function parseGivenEnd(
  given: number,
  start: Port | undefined,
  portsPerMember: number | undefined,
  field: Field,
  report: Report,
): Port | undefined {
  const end = parseInteger(given, 'port', 1, lastFrontendPort, field, report);
  if (end === undefined || start === undefined) return undefined;
  if (end < start) {
    report(field, 'VALUE_OUT_OF_RANGE', `port ${end}: must be the start of the range, ${start}, or above`);
    return undefined;
  }
  if (portsPerMember !== undefined && end - start + 1 < portsPerMember) {
    const needed = `one machine's ${portsPerMember} ports need ${start + portsPerMember - 1} or above`;
    report(field, 'VALUE_OUT_OF_RANGE', `port ${end}: ${needed}`);
    return undefined;
  }
  return end;
}

function endFromMaximum(
  given: number,
  start: Port | undefined,
  portsPerMember: number | undefined,
  field: Field,
  report: Report,
): Port | undefined {
  const maximum = parseInteger(given, 'machines', 1, lastFrontendPort, field, report);
  if (maximum === undefined || start === undefined || portsPerMember === undefined) return undefined;
  const end = start + maximum * portsPerMember - 1;
  if (end <= lastFrontendPort) return end;
  const room = Math.floor((lastFrontendPort - start + 1) / portsPerMember);
  report(
    field,
    'VALUE_OUT_OF_RANGE',
    `machines ${maximum}: the range from ${start} would end at port ${end}; at most ${room} end at ${lastFrontendPort} or below`,
  );
  return undefined;
}
