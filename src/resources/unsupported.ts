// What the API has and this version does not do yet: refused by name, rather than taken and ignored.
import type { Field } from './field.ts';
import type { Report } from './report.ts';

/** Reports a FEATURE_UNSUPPORTED when `isSet`. */
export function refuseUnsupported(
  isSet: boolean,
  what: string,
  remedy: string,
  field: Field,
  report: Report,
): void {
  if (isSet) report(field, 'FEATURE_UNSUPPORTED', `${what}: not supported by this version; ${remedy}`);
}
