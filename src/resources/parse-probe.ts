// One health probe.
import type { ProbeDraft } from './draft.ts';
import { parseDuration } from './durations.ts';
import { at, type Field } from './field.ts';
import type { Probe, ProbeProtocol } from './model.ts';
import { parseName, quoted } from './names.ts';
import { lastBackendPort, parseEnum, parseInteger } from './numbers.ts';
import type { Report } from './report.ts';

const protocols = ['unspecified', 'tcp', 'http', 'https'] as const;

/** Milliseconds. */
const defaultInterval = 5_000;
const shortestInterval = 1_000;
const longestInterval = 3_600_000;
const shortestTimeout = 100;
/** What a probe waits at most unless it says more. */
const defaultTimeout = 5_000;

const largestThreshold = 100;
/** As long as Azure's. */
const longestPath = 2_048;
/** What may stand in a request's first line: printable ASCII without space; `#` would begin what is never sent. */
const pathPattern = /^\/[!"$-~]*$/;

/** Undefined, and reported, when anything in it is wrong. */
export function parseProbe(draft: ProbeDraft, field: Field, report: Report): Probe | undefined {
  const name = parseName(draft.name, at(field, 'name'), report);
  const protocol = parseProbeProtocol(draft.protocol, at(field, 'protocol'), report);
  const port = parseInteger(draft.port ?? 0, 'port', 1, lastBackendPort, at(field, 'port'), report);
  const path = parsePath(draft.path ?? '', protocol, at(field, 'path'), report);
  const interval = parseDuration(
    draft.interval ?? undefined,
    { what: 'interval', first: shortestInterval, last: longestInterval, unset: defaultInterval },
    at(field, 'interval'),
    report,
  );
  const timeout = parseTimeout(draft, interval, at(field, 'timeout'), report);
  const threshold = parseInteger(
    draft.threshold || 1,
    'threshold',
    1,
    largestThreshold,
    at(field, 'threshold'),
    report,
  );
  const verifyCertificate = draft.verifyCertificate === true;
  if (verifyCertificate && protocol !== undefined && protocol !== 'https') {
    const remedy = 'only HTTPS probes see a certificate: leave it false';
    report(at(field, 'verify_certificate'), 'FIELDS_CONFLICT', remedy);
  }
  if (name === undefined || protocol === undefined || port === undefined || path === undefined)
    return undefined;
  if (interval === undefined || timeout === undefined || threshold === undefined) return undefined;
  return { name, protocol, port, path, interval, timeout, threshold, verifyCertificate };
}

function parseProbeProtocol(
  number: number | undefined,
  field: Field,
  report: Report,
): ProbeProtocol | undefined {
  const protocol = parseEnum(protocols, number, 'protocol', field, report);
  if (protocol !== 'unspecified') return protocol;
  report(field, 'FIELD_REQUIRED', 'a protocol is required: TCP, HTTP or HTTPS');
  return undefined;
}

/** Empty for TCP; `/` where an HTTP probe says none. */
function parsePath(
  path: string,
  protocol: ProbeProtocol | undefined,
  field: Field,
  report: Report,
): string | undefined {
  if (protocol === 'tcp' && path !== '') {
    report(field, 'FIELDS_CONFLICT', 'a TCP probe asks for no path: leave it empty');
    return undefined;
  }
  if (path === '') return protocol === 'tcp' ? '' : '/';
  if (path.length <= longestPath && pathPattern.test(path)) return path;
  const rule = `must begin with / and be at most ${longestPath} printable ASCII characters without space and #`;
  report(field, 'PATH_INVALID', `path ${quoted(path)}: ${rule}; write others as %XX`);
  return undefined;
}

/** Unset: as long as the interval, at most 5 s. */
function parseTimeout(
  draft: ProbeDraft,
  interval: number | undefined,
  field: Field,
  report: Report,
): number | undefined {
  const last = interval ?? longestInterval;
  const bounds = { what: 'timeout', first: shortestTimeout, last, unset: Math.min(last, defaultTimeout) };
  return parseDuration(draft.timeout ?? undefined, bounds, field, report);
}
