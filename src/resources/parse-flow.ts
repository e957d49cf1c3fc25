// Flow options of a rule.
import type { RuleProtocol } from './address.ts';
import type { DurationDraft, FlowOptionsDraft } from './draft.ts';
import { parseDuration } from './durations.ts';
import { at, type Field } from './field.ts';
import type { FlowOptions } from './model.ts';
import { parseEnum } from './numbers.ts';
import { parseFloating } from './parse-floating.ts';
import type { Report } from './report.ts';

const sourceNats = ['none', 'none', 'masquerade'] as const;

/** Milliseconds. */
const shortestIdle = 1_000;
const longestIdle = 86_400_000;

/** `protocol` is the rule's, undefined where that is wrong itself. */
export function parseFlow(
  draft: FlowOptionsDraft | null | undefined,
  kind: 'nat' | 'balanced',
  protocol: RuleProtocol | undefined,
  field: Field,
  report: Report,
): FlowOptions | undefined {
  if (draft === undefined || draft === null) return { sourceNat: 'none' };
  const idleTimeout = parseIdleTimeout(draft.idleTimeout, at(field, 'idle_timeout'), report);
  const tcpReset = draft.tcpReset === true;
  if (tcpReset && protocol === 'udp') {
    const remedy = 'UDP knows no resets: leave it false, or give the rule protocol TCP or ALL';
    report(at(field, 'tcp_reset'), 'FIELDS_CONFLICT', remedy);
  }
  const sourceNat = parseEnum(sourceNats, draft.sourceNat, 'source_nat', at(field, 'source_nat'), report);
  const floating = parseFloating(draft, kind, field, report);
  if (sourceNat === undefined || idleTimeout === undefined || floating === undefined) return undefined;
  return {
    sourceNat,
    ...(idleTimeout > 0 && { idleTimeout }),
    ...(tcpReset && { tcpReset }),
    ...(floating !== 'not' && { floating }),
  };
}

/** Seconds; 0 where nothing is said. Whole ones, because that is what the kernel counts idle time in. */
function parseIdleTimeout(
  draft: DurationDraft | null | undefined,
  field: Field,
  report: Report,
): number | undefined {
  const bounds = { what: 'idle_timeout', first: shortestIdle, last: longestIdle, unset: 0 };
  const milliseconds = parseDuration(draft ?? undefined, bounds, field, report);
  if (milliseconds === undefined) return undefined;
  if (milliseconds % 1_000 === 0 && (draft?.nanos ?? 0) === 0) return milliseconds / 1_000;
  const said = (draft?.seconds ?? 0) + (draft?.nanos ?? 0) / 1_000_000_000;
  report(field, 'VALUE_OUT_OF_RANGE', `idle_timeout ${said} s: must be a whole number of seconds`);
  return undefined;
}
