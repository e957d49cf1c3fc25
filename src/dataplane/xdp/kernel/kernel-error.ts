// What the kernel refused, in one sentence, with everything that it and libbpf had to say.
import { getSystemErrorMap } from 'node:util';

export class KernelError extends Error {
  override readonly name = 'KernelError';
  /** Positive, as in errno(3). */
  readonly errno: number;
  /** libbpf's and the verifier's own words, in full; empty when they said nothing. */
  readonly log: string;

  constructor(what: string, errno: number, log = '') {
    super(`${what}: ${errnoText(errno)}`);
    this.errno = errno;
    this.log = log;
  }
}

export const errnos = {
  notPermitted: 1,
  noEntry: 2,
  accessDenied: 13,
  busy: 16,
  exists: 17,
  noDevice: 19,
} as const;

/** Gives back a result that is not negative, throws the error that a negative one stands for. */
export function checked(result: number, what: string, log = ''): number {
  if (result < 0) throw new KernelError(what, -result, log);
  return result;
}

export function errnoText(errno: number): string {
  const known = getSystemErrorMap().get(-errno);
  return known === undefined ? `error ${errno}` : `${known[1]} (${known[0]})`;
}
