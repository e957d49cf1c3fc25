// What an examination comes to: one check for each thing looked at, whether or not anything is wrong with it.
import { type Code, catalogue } from './catalogue.ts';

/** `info` is worth knowing and needs nothing done; `unknown` could not be looked at. */
export type Status = 'ok' | 'info' | 'warning' | 'error' | 'unknown';

export interface Check {
  /** Of the trouble that is looked for; with status `ok` it is absent. */
  readonly code: Code;
  readonly status: Status;
  /** What it is about: an interface, an address, a setting; empty for the host. */
  readonly subject: string;
  /** What is. */
  readonly message: string;
  readonly why: string;
  /** The command that mends it, as a shell takes it; a sentence where no command does; empty where there is nothing to do. */
  readonly remedy: string;
}

/** A fact of the host, or why it could not be read. */
export type Reading<T> =
  | { readonly kind: 'read'; readonly value: T }
  | { readonly kind: 'unknown'; readonly reason: string; readonly remedy: string };

export function read<T>(value: T): Reading<T> {
  return { kind: 'read', value };
}

export function unread(reason: string, remedy = ''): Reading<never> {
  return { kind: 'unknown', reason, remedy };
}

/** What root could have read. */
export const asRoot = 'run it as root: sudo penstock doctor';

export function fine(code: Code, subject: string, message: string): Check {
  return { code, status: 'ok', subject, message, why: catalogue[code].why, remedy: '' };
}

/** A trouble, by default as bad as the catalogue has it. */
export function found(
  code: Code,
  subject: string,
  message: string,
  remedy: string,
  status: 'info' | 'warning' | 'error' = catalogue[code].severity,
): Check {
  return { code, status, subject, message, why: catalogue[code].why, remedy };
}

export function unknown(
  code: Code,
  subject: string,
  { reason, remedy }: { readonly reason: string; readonly remedy: string },
): Check {
  return { code, status: 'unknown', subject, message: reason, why: catalogue[code].why, remedy };
}

/** Judges what was read; what was not becomes `unknown`. */
export function judged<T>(
  code: Code,
  subject: string,
  reading: Reading<T>,
  judge: (value: T) => readonly Check[],
): readonly Check[] {
  return reading.kind === 'read' ? judge(reading.value) : [unknown(code, subject, reading)];
}
