// What a test and its long-running client in the lab say to each other.

export type Scheme = 'http' | 'https' | 'udp';

/** One request to be sent, on a connection of its own. */
export interface Request {
  readonly scheme: Scheme;
  readonly address: string;
  readonly port: number;
  /** For http and https; the servers know `/health`, `?delay=MS` and `?bytes=N`. Default `/`. */
  readonly path?: string;
  /** Bind to this local port. Default: the kernel's choice. */
  readonly localPort?: number;
  /** Of a datagram. Default 16. */
  readonly payloadBytes?: number;
  /** Milliseconds until it counts as lost. Default 5,000. */
  readonly timeout?: number;
}

/** What a machine says about the request that reached it. */
export interface Answer {
  readonly machine: string;
  readonly scheme: Scheme;
  /** Where the request arrived. */
  readonly address: string;
  readonly port: number;
  /** Whom the machine saw. */
  readonly client: string;
  readonly clientPort: number;
}

export type Outcome =
  | { readonly answer: Answer; readonly status: number; readonly milliseconds: number }
  | { readonly lost: string; readonly milliseconds: number };

/** A part of a steady load. */
export interface Stream {
  readonly name: string;
  readonly request: Request;
  readonly perSecond: number;
  /** Machines that may answer; an answer from another one is wrong. */
  readonly expect: readonly string[];
  /** One connection for all requests; that it has to be made anew counts as a loss. */
  readonly held?: boolean;
}

export interface StreamOutcome {
  readonly stream: string;
  readonly verdict: 'right' | 'wrong' | 'lost';
  readonly machine?: string;
  /** Says what happened, where it is not right. */
  readonly reason?: string;
}

export type ToClient =
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly requests: readonly Request[];
      readonly concurrency: number;
    }
  | { readonly kind: 'load'; readonly id: number; readonly streams: readonly Stream[] };

export type FromClient =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answers'; readonly id: number; readonly outcomes: readonly Outcome[] }
  | { readonly kind: 'settled'; readonly id: number }
  | { readonly kind: 'outcomes'; readonly outcomes: readonly StreamOutcome[] };
