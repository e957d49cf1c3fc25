// Names and ids: what they may consist of, and that no two of a kind are alike.
import type { Field } from './field.ts';
import type { Report } from './report.ts';

const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?$/;
/** Printable ASCII without space, quote (34), slash (47) and backslash (92). */
const memberIdPattern = /^[!#-.0-[\]-~]{1,128}$/;

/** The name of a load balancer, frontend, pool or rule: 1 to 80 characters. Undefined, and reported, otherwise. */
export function parseName(text: string | undefined, field: Field, report: Report): string | undefined {
  if (text === undefined || text === '') {
    report(field, 'FIELD_REQUIRED', 'a name is required');
    return undefined;
  }
  if (namePattern.test(text)) return text;
  report(
    field,
    'NAME_INVALID',
    `name ${quoted(text)}: must be 1 to 80 characters that begin with a letter or digit, end with a letter, digit or _, and in between also hold . and -`,
  );
  return undefined;
}

/**
 * A member id: 1 to 128 printable ASCII characters, without space, `/` (which parts POOL from ID), `"` and `\`. IPv6
 * addresses and names of scale-set instances are ids. Undefined, and reported, otherwise.
 */
export function parseMemberId(text: string, field: Field, report: Report): string | undefined {
  if (memberIdPattern.test(text)) return text;
  report(
    field,
    'NAME_INVALID',
    `id ${quoted(text)}: must be 1 to 128 printable ASCII characters without space, /, " and \\`,
  );
  return undefined;
}

/** The name of something that must exist; whether it does is checked when all is known. */
export function parseReference(
  text: string | undefined,
  what: string,
  field: Field,
  report: Report,
): string | undefined {
  if (text !== undefined && text !== '') return text;
  report(field, 'FIELD_REQUIRED', `the name of a ${what} is required`);
  return undefined;
}

/** Reports a NAME_DUPLICATE when `seen` has the name already; remembers it otherwise. */
export function checkUnique(
  name: string | undefined,
  what: string,
  seen: Set<string>,
  field: Field,
  report: Report,
): void {
  if (name === undefined) return;
  if (seen.has(name)) {
    report(field, 'NAME_DUPLICATE', `${what} ${quoted(name)} stands twice: give each a name of its own`);
  }
  seen.add(name);
}

/** For descriptions: quoted, and cut when it is long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 97)}...` : text);
}
