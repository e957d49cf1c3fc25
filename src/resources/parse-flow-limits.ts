// Who may begin flows through a rule, and how many.
import { type ClientRange, parseClientRange } from './client-range.ts';
import type { LimitsDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import { limits, withinLimit } from './limits.ts';
import type { FlowLimits } from './model.ts';
import { parseInteger } from './numbers.ts';
import type { Report } from './report.ts';

/** New flows in a second, or at once: the kernel counts in nanoseconds, a thousand for each at this rate. */
const mostNewFlows = 1_000_000;
/** The kernel walks through a rule's flows to count them: at this number a new one costs about a millisecond. */
const mostConcurrentFlows = 50_000;

/** `none` where nothing is limited. Undefined, and reported, when anything in it is wrong. */
export function parseFlowLimits(
  draft: LimitsDraft | null | undefined,
  field: Field,
  report: Report,
): FlowLimits | 'none' | undefined {
  if (draft === undefined || draft === null) return 'none';
  const allowedClients = parseAllowed(draft.allowedClients ?? [], at(field, 'allowed_clients'), report);
  const rate = parseCount(draft.newFlowsPerSecond, 'new_flows_per_second', mostNewFlows, field, report);
  const burst = parseCount(draft.newFlowsBurst, 'new_flows_burst', mostNewFlows, field, report);
  const concurrentFlows = parseCount(
    draft.concurrentFlows,
    'concurrent_flows',
    mostConcurrentFlows,
    field,
    report,
  );
  if (allowedClients === undefined || rate === undefined) return undefined;
  if (burst === undefined || concurrentFlows === undefined) return undefined;
  if (burst > 0 && rate === 0) {
    const remedy = 'has no meaning without new_flows_per_second: set that, or leave it 0';
    report(at(field, 'new_flows_burst'), 'FIELDS_CONFLICT', `new_flows_burst ${burst}: ${remedy}`);
    return undefined;
  }
  if (allowedClients.length === 0 && rate === 0 && concurrentFlows === 0) return 'none';
  return {
    allowedClients,
    ...(rate > 0 && { newFlows: { perSecond: rate, burst: burst === 0 ? rate : burst } }),
    ...(concurrentFlows > 0 && { concurrentFlows }),
  };
}

function parseAllowed(
  texts: readonly string[],
  field: Field,
  report: Report,
): readonly ClientRange[] | undefined {
  const what = 'client ranges of a rule';
  if (!withinLimit(texts.length, limits.clientRanges, what, field, report)) return undefined;
  const ranges = texts.map((text, index) =>
    parseClientRange(text, at(field.parent ?? field, field.name, index), report),
  );
  const good = ranges.filter((range) => range !== undefined);
  return good.length === ranges.length ? good : undefined;
}

/** 0 where nothing is said. */
function parseCount(
  value: number | undefined,
  name: string,
  most: number,
  field: Field,
  report: Report,
): number | undefined {
  return value ? parseInteger(value, name, 1, most, at(field, name), report) : 0;
}
