// A typed client of the Gateway service: promises for single answers, async iterables for streams.
import {
  type ChannelCredentials,
  Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
  type CallOptions as WireOptions,
} from '@grpc/grpc-js';
import { CallFailed, callFailed, isServiceError } from './errors.ts';
import type { penstock } from './generated/proto.js';
import { gatewayService, type MethodDefinition } from './service.ts';

type V1 = typeof penstock.v1;
/** A message to send; fields may be left out. */
export type Message<Name extends keyof V1> = V1[Name] extends { encode(message: infer In): unknown }
  ? In
  : never;
/** A message that was received; absent fields have their defaults. */
export type Answer<Name extends keyof V1> = V1[Name] extends { decode(bytes: Uint8Array): infer Out }
  ? Out
  : never;

export interface ClientOptions {
  /** Present: TLS. PEM texts; without `ca` the system's authorities are trusted. */
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

export interface CallOptions {
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED. Absent: none. */
  readonly timeout?: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

/** Every method fails with `CallFailed`. */
export class GatewayClient {
  readonly #client: Client;

  /** `unix:/path`, `host:port` or `tcp://host:port`. Connects with the first call. */
  constructor(address: string, options: ClientOptions = {}) {
    this.#client = new Client(targetOf(address), credentialsOf(options), {
      // The gateway is reached directly, whatever http_proxy says.
      'grpc.enable_http_proxy': 0,
    });
  }

  /** Applies a change as one transaction. */
  apply(request: Message<'ApplyRequest'>, options?: CallOptions): Promise<Answer<'ApplyResponse'>> {
    return this.#unary(gatewayService.apply, request, options);
  }

  /** Replaces the whole configuration. The chunks are taken only as fast as the gateway takes them. */
  replaceAll(
    chunks: Iterable<Message<'ReplaceAllRequest'>> | AsyncIterable<Message<'ReplaceAllRequest'>>,
    options?: CallOptions,
  ): Promise<Answer<'ApplyResponse'>> {
    return this.#clientStream(gatewayService.replaceAll, chunks, options);
  }

  getStatus(options?: CallOptions): Promise<Answer<'GetStatusResponse'>> {
    return this.#unary(gatewayService.getStatus, {}, options);
  }

  listLoadBalancers(
    request: Message<'ListLoadBalancersRequest'> = {},
    options?: CallOptions,
  ): AsyncIterable<Answer<'ListLoadBalancersResponse'>> {
    return this.#serverStream(gatewayService.listLoadBalancers, request, options);
  }

  listPortMappings(
    request: Message<'ListPortMappingsRequest'> = {},
    options?: CallOptions,
  ): AsyncIterable<Answer<'ListPortMappingsResponse'>> {
    return this.#serverStream(gatewayService.listPortMappings, request, options);
  }

  listMemberHealth(
    request: Message<'ListMemberHealthRequest'> = {},
    options?: CallOptions,
  ): AsyncIterable<Answer<'ListMemberHealthResponse'>> {
    return this.#serverStream(gatewayService.listMemberHealth, request, options);
  }

  listFlows(
    request: Message<'ListFlowsRequest'> = {},
    options?: CallOptions,
  ): AsyncIterable<Answer<'ListFlowsResponse'>> {
    return this.#serverStream(gatewayService.listFlows, request, options);
  }

  listOutboundPorts(
    request: Message<'ListOutboundPortsRequest'> = {},
    options?: CallOptions,
  ): AsyncIterable<Answer<'ListOutboundPortsResponse'>> {
    return this.#serverStream(gatewayService.listOutboundPorts, request, options);
  }

  /** Runs until the reader stops, the signal aborts (which ends the iteration with CANCELLED) or the call fails. */
  watch(request: Message<'WatchRequest'> = {}, options?: CallOptions): AsyncIterable<Answer<'Event'>> {
    return this.#serverStream(gatewayService.watch, request, options);
  }

  /** Takes no more calls; the connection ends with the last call under way. */
  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #unary<In, Out>(
    method: MethodDefinition<In, unknown, never, Out>,
    request: In,
    options: CallOptions = {},
  ): Promise<Out> {
    const { promise, settle } = answer<Out>();
    const call = this.#client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      wireOptions(options),
      settle,
    );
    return await cancellable(call, options.signal, () => promise);
  }

  async #clientStream<In, Out>(
    method: MethodDefinition<In, unknown, never, Out>,
    requests: Iterable<In> | AsyncIterable<In>,
    options: CallOptions = {},
  ): Promise<Out> {
    const { promise, settle } = answer<Out>();
    const call = this.#client.makeClientStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      new Metadata(),
      wireOptions(options),
      settle,
    );
    return await cancellable(call, options.signal, async () => {
      try {
        await writeAll(call, requests, promise);
      } catch (error) {
        // The source of the requests failed: what was sent must not take effect.
        call.cancel();
        promise.catch(() => {});
        throw error;
      }
      return await promise;
    });
  }

  async *#serverStream<In, Out>(
    method: MethodDefinition<In, unknown, never, Out>,
    request: In,
    options: CallOptions = {},
  ): AsyncGenerator<Out, void, undefined> {
    const call: ClientReadableStream<Out> = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      wireOptions(options),
    );
    const cancel = (): void => call.cancel();
    options.signal?.addEventListener('abort', cancel, { once: true });
    if (options.signal?.aborted) cancel();
    try {
      for await (const message of call) yield message;
    } catch (error) {
      throw isServiceError(error) ? callFailed(error) : error;
    } finally {
      options.signal?.removeEventListener('abort', cancel);
      // A reader that stopped early leaves an error event behind that nobody else hears.
      call.on('error', () => {});
      call.cancel();
    }
  }
}

/** What grpc-js is given as the target. Throws where the address has none of the forms. */
function targetOf(address: string): string {
  if (address.startsWith('unix:')) {
    const path = address.replace(/^unix:(\/\/(?=\/))?/, '');
    if (path === '') throw new TypeError(`no path in ${address}`);
    return `unix:${path}`;
  }
  const target = address.replace(/^tcp:\/\//, '');
  const match = /^(?<host>\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(?<port>\d{1,5})$/.exec(target);
  const port = Number(match?.groups?.port ?? 0);
  if (port < 1 || port > 65_535) {
    throw new TypeError(
      `not an address of a gateway: ${address} (give unix:/path, host:port or tcp://host:port)`,
    );
  }
  return `dns:${target}`;
}

function credentialsOf({ tls }: ClientOptions): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
}

function wireOptions({ timeout }: CallOptions): WireOptions {
  return timeout === undefined ? {} : { deadline: Date.now() + timeout };
}

/** A promise, and the callback of grpc-js that settles it. */
function answer<Out>(): {
  readonly promise: Promise<Out>;
  readonly settle: (error: ServiceError | null, value?: Out) => void;
} {
  const { promise, resolve, reject } = Promise.withResolvers<Out>();
  return {
    promise,
    settle: (error, value) => {
      if (error !== null) reject(callFailed(error));
      else if (value !== undefined) resolve(value);
      else reject(new CallFailed(status.INTERNAL, 'the gateway sent no answer'));
    },
  };
}

async function cancellable<Out>(
  call: ClientUnaryCall,
  signal: AbortSignal | undefined,
  run: () => Promise<Out>,
): Promise<Out> {
  const cancel = (): void => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  try {
    return await run();
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** Writes until all is written or the call is over; the answer, good or bad, may come at any time. */
async function writeAll<In>(
  call: ClientWritableStream<In>,
  requests: Iterable<In> | AsyncIterable<In>,
  answered: Promise<unknown>,
): Promise<void> {
  let over = false;
  const end = answered.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  call.on('error', () => {});
  for await (const request of requests) {
    if (over) return;
    if (!call.write(request)) await Promise.race([drained(call), end]);
  }
  if (!over) call.end();
}

function drained(call: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    call.once('drain', resolve);
  });
}
