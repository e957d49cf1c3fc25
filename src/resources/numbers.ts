// Numbers of the API: ranges and enums.
import type { RuleProtocol } from './address.ts';
import type { Field } from './field.ts';
import type { Report } from './report.ts';

/** Frontend ports end one below backend ports, as in Azure. */
export const lastFrontendPort = 65_534;
export const lastBackendPort = 65_535;

/** An integer from `first` to `last`. Undefined, and reported, otherwise. */
export function parseInteger(
  value: number,
  what: string,
  first: number,
  last: number,
  field: Field,
  report: Report,
): number | undefined {
  if (Number.isInteger(value) && value >= first && value <= last) return value;
  report(field, 'VALUE_OUT_OF_RANGE', `${what} ${value}: must be ${first} to ${last}`);
  return undefined;
}

/** What an enum's number stands for: `values[number]`. Undefined, and reported, for a number that is not known. */
export function parseEnum<T>(
  values: readonly T[],
  number: number | undefined,
  what: string,
  field: Field,
  report: Report,
): T | undefined {
  const value = values[number ?? 0];
  if (value === undefined) {
    report(field, 'ENUM_UNKNOWN', `${what} ${number}: must be 0 to ${values.length - 1}`);
  }
  return value;
}

const protocols = ['unspecified', 'tcp', 'udp', 'all'] as const;

export function parseProtocol(
  number: number | undefined,
  field: Field,
  report: Report,
): RuleProtocol | undefined {
  const protocol = parseEnum(protocols, number, 'protocol', field, report);
  if (protocol !== 'unspecified') return protocol;
  report(field, 'FIELD_REQUIRED', 'a protocol is required: TCP, UDP or ALL');
  return undefined;
}
