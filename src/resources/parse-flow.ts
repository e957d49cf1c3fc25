// Flow options of a rule.
import type { FlowOptionsDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import type { FlowOptions } from './model.ts';
import { parseEnum } from './numbers.ts';
import type { Report } from './report.ts';
import { refuseUnsupported } from './unsupported.ts';

const sourceNats = ['none', 'none', 'masquerade'] as const;

export function parseFlow(
  draft: FlowOptionsDraft | null | undefined,
  field: Field,
  report: Report,
): FlowOptions | undefined {
  if (draft === undefined || draft === null) return { sourceNat: 'none' };
  const hasTimeout = draft.idleTimeout !== undefined && draft.idleTimeout !== null;
  refuseUnsupported(hasTimeout, 'idle_timeout', 'leave it unset', at(field, 'idle_timeout'), report);
  refuseUnsupported(draft.tcpReset === true, 'tcp_reset', 'leave it false', at(field, 'tcp_reset'), report);
  const floats = draft.floatingIp === true;
  refuseUnsupported(floats, 'floating_ip', 'leave it false', at(field, 'floating_ip'), report);
  const sourceNat = parseEnum(sourceNats, draft.sourceNat, 'source_nat', at(field, 'source_nat'), report);
  return sourceNat === undefined ? undefined : { sourceNat };
}
