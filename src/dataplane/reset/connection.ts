// A TCP connection through the gateway, as both of its ends see it.

export interface End {
  /** 4 or 16 bytes. */
  readonly address: Buffer;
  readonly port: number;
}

export interface Connection {
  readonly client: End;
  /** Whom the client talks to. */
  readonly frontend: End;
  readonly machine: End;
  /** Whom the machine talks to: the client, unless it is masqueraded or has another port. */
  readonly peer: End;
}
