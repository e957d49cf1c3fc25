// One probe of one target, from the first packet to the outcome.
import type { Outcome } from './outcome.ts';
import { attemptHttp } from './probe-http.ts';
import { attemptTcp } from './probe-tcp.ts';
import type { ProbeTarget } from './target.ts';

/** A probe that is under way. */
export interface Attempt {
  /** What has not happened yet, such as `no connection`: for a detail that says how far the probe came. */
  readonly lacks: string;
  /** Gives up at once; nothing is told of its outcome any more. */
  abort(): void;
}

/** Begins a probe. Tells the outcome at most once, and never before it returns; knows no time: who began it limits that. */
export type Attempts = (target: ProbeTarget, settle: (outcome: Outcome) => void) => Attempt;

export const attempt: Attempts = (target, settle) => {
  switch (target.protocol) {
    case 'tcp':
      return attemptTcp(target, settle);
    case 'http':
    case 'https':
      return attemptHttp(target, settle);
  }
};
