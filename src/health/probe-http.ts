// HTTP and HTTPS probes: GET of a path, answered with status 200. The body is read and thrown away, up to a bound.
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Client, type Dispatcher } from 'undici';
import type { Attempt } from './attempt.ts';
import { outcomeOf } from './failures.ts';
import { type Outcome, success } from './outcome.ts';
import type { ProbeTarget } from './target.ts';

/** Bytes of the status line and the header; more is a failure. */
const headerLimit = 16_384;
/** Bytes of the body; who has sent so many after a 200 has said enough. */
const bodyLimit = 65_536;

const unreachable = 'Down_Probe_HttpEndpointUnreachable';

/** Over a connection of its own, so that it is probed too whether the machine takes new ones. Follows no redirects. */
export function attemptHttp(target: ProbeTarget, settle: (outcome: Outcome) => void): Attempt {
  return new HttpAttempt(target, settle);
}

class HttpAttempt implements Attempt, Dispatcher.DispatchHandler {
  lacks = 'no connection';
  readonly #client: Client;
  #settle: ((outcome: Outcome) => void) | undefined;
  #socket: Socket | undefined;
  #received = 0;

  constructor(target: ProbeTarget, settle: (outcome: Outcome) => void) {
    this.#settle = settle;
    const host = target.address.includes(':') ? `[${target.address}]` : target.address;
    this.#client = new Client(`${target.protocol}://${host}:${target.port}`, {
      connect: (_options, connected) => this.#connect(target, connected),
      maxHeaderSize: headerLimit,
      // Whoever began the attempt limits its time.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const headers = { 'user-agent': 'Penstock-Probe', accept: '*/*' };
    this.#client.dispatch({ method: 'GET', path: target.path, headers, reset: true }, this);
  }

  abort(): void {
    this.#settle = undefined;
    this.#end();
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.lacks = 'no end of the answer';
    if (status === 200) return;
    this.#conclude({ kind: 'failure', reason: 'Down_Probe_HttpStatusCodeError', detail: `status ${status}` });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#received += chunk.length;
    if (this.#received > bodyLimit) this.#conclude(success);
  }

  onResponseEnd(): void {
    this.#conclude(success);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#conclude(outcomeOf(error, unreachable));
  }

  #connect(target: ProbeTarget, connected: (...args: [null, Socket] | [Error, null]) => void): void {
    const { address: host, port, protocol, verifyCertificate } = target;
    const ready = (): void => {
      this.lacks = 'no answer';
      connected(null, socket);
    };
    const socket =
      protocol === 'http'
        ? connect({ host, port }, ready)
        : connectTls(
            {
              host,
              port,
              rejectUnauthorized: verifyCertificate,
              secureContext: secureContext(verifyCertificate),
            },
            ready,
          );
    if (protocol === 'https') {
      socket.once('connect', () => {
        this.lacks = 'no end of the TLS handshake';
      });
    }
    socket.on('error', (error) => this.#conclude(outcomeOf(error, unreachable)));
    this.#socket = socket;
  }

  #conclude(outcome: Outcome): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#settle = undefined;
    this.#end();
    settle(outcome);
  }

  #end(): void {
    const socket = this.#socket;
    // As with TCP probes, a reset leaves nothing to wait for; Node sends none over TLS.
    if (socket?.connecting === false && !socket.destroyed && !('encrypted' in socket))
      socket.resetAndDestroy();
    else socket?.destroy();
    this.#client.destroy(null, () => {});
  }
}

const contexts = new Map<boolean, SecureContext>();

/** One for all probes: to make one takes longer than a handshake. */
function secureContext(verified: boolean): SecureContext {
  const known = contexts.get(verified);
  if (known !== undefined) return known;
  // Where nobody has to vouch, nobody is known: otherwise Node reads all that it brings along.
  const made = createSecureContext({ ca: verified ? authorities() : [] });
  contexts.set(verified, made);
  return made;
}

/** Those that Node brings along, and those of the host. */
function authorities(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
}
