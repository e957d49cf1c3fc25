// What every call has in common: reading the request, back-pressure, cancellation, errors and the log.
import { setImmediate } from 'node:timers/promises';
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Received } from '../wire/service.ts';
import { CallRejected, type Failure, failureOf, unreadable } from './refusals.ts';

/** What the handlers of one server share. */
export interface Site {
  readonly logger: Logger;
  /** Aborts when the server begins to stop; calls that would not end by themselves end then. */
  readonly stopping: AbortSignal;
}

/** The part of a grpc-js call that is common to all kinds. */
interface AnyCall {
  readonly cancelled: boolean;
  getPeer(): string;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** A request with one answer. */
export function unary<Request, Response>(
  site: Site,
  method: string,
  answer: (request: Request) => Promise<Response>,
): handleUnaryCall<Received<Request>, Response> {
  return (call, callback) => {
    const record = begin(site, method, call);
    run(async () => answer(read(call.request))).then(
      (response) => {
        record.done();
        callback(null, response);
      },
      (error: unknown) => callback(record.failed(error).status),
    );
  };
}

/** A stream of requests with one answer; a chunk is read only when the one before has been taken. */
export function clientStream<Request, Response>(
  site: Site,
  method: string,
  answer: (requests: AsyncIterable<Chunk<Request>>) => Promise<Response>,
): handleClientStreamingCall<Received<Request>, Response> {
  return (call, callback) => {
    const record = begin(site, method, call);
    run(() => answer(chunks(call))).then(
      (response) => {
        record.done();
        callback(null, response);
      },
      (error: unknown) => {
        if (call.cancelled) record.cancelled();
        else callback(record.failed(error).status);
      },
    );
  };
}

/** One message of a stream, and how large it was on the wire. */
export interface Chunk<Request> {
  readonly message: Request;
  readonly bytes: number;
}

/** A request with a stream of answers; an answer is made only when the client has taken the one before. */
export function serverStream<Request, Response>(
  site: Site,
  method: string,
  answer: (request: Request, gone: AbortSignal) => AsyncIterable<Response> | Iterable<Response>,
): handleServerStreamingCall<Received<Request>, Response> {
  return (call) => {
    const record = begin(site, method, call);
    const gone = new AbortController();
    call.on('cancelled', () => gone.abort());
    run(async () => {
      for await (const response of answer(read(call.request), gone.signal)) {
        await write(call, response, gone.signal);
        if (gone.signal.aborted) return;
        // The event loop's turn: chunks that are taken at once would keep everything else waiting.
        await setImmediate();
      }
    }).then(
      () => {
        if (gone.signal.aborted) return record.cancelled();
        record.done();
        call.end();
      },
      (error: unknown) => {
        if (gone.signal.aborted) record.cancelled();
        else call.emit('error', record.failed(error).status);
      },
    );
  };
}

/** A streaming method that this version does not have. */
export function unimplemented<Request, Response>(
  site: Site,
  method: string,
  instead: string,
): handleServerStreamingCall<Received<Request>, Response> &
  handleBidiStreamingCall<Received<Request>, Response> {
  return (call: AnyCall & { emit(event: 'error', error: Failure['status']): unknown }) => {
    const record = begin(site, method, call);
    call.emit(
      'error',
      record.failed(
        new CallRejected(
          status.UNIMPLEMENTED,
          'FEATURE_UNSUPPORTED',
          `this gateway does not have ${method} yet; ${instead}`,
        ),
      ).status,
    );
  };
}

/** So that a throw and a rejection are the same. */
async function run<T>(task: () => Promise<T>): Promise<T> {
  return await task();
}

function read<Request>(received: Received<Request>): Request {
  switch (received.kind) {
    case 'message':
      return received.message;
    case 'unreadable':
      throw unreadable(received.detail);
  }
}

async function* chunks<Request>(
  received: AsyncIterable<Received<Request>>,
): AsyncGenerator<Chunk<Request>, void, undefined> {
  for await (const chunk of received) {
    yield { message: read(chunk), bytes: chunk.kind === 'message' ? chunk.bytes : 0 };
  }
}

/**
 * Resolves when the transport has taken the message, or the client is gone. Not `drain`: a stream of objects counts
 * objects, so its own mark would let sixteen large chunks wait in memory.
 */
async function write<Response>(
  call: ServerWritableStream<unknown, Response>,
  response: Response,
  gone: AbortSignal,
): Promise<void> {
  if (gone.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const leave = () => resolve();
  gone.addEventListener('abort', leave, { once: true });
  call.write(response, leave);
  await promise;
  gone.removeEventListener('abort', leave);
}

interface CallRecord {
  done(): void;
  cancelled(): void;
  failed(error: unknown): Failure;
}

/** The log of one call. Texts and names from the request stay out of everything above debug. */
function begin({ logger }: Site, method: string, call: AnyCall): CallRecord {
  const started = performance.now();
  const about = (code: status) => ({
    method,
    status: status[code],
    ms: Math.round((performance.now() - started) * 100) / 100,
    peer: call.getPeer(),
  });
  return {
    done: () => logger.debug(about(status.OK), 'call'),
    cancelled: () => logger.debug(about(status.CANCELLED), 'call'),
    failed: (error) => {
      const failure = failureOf(error);
      const { details, severity } = failure;
      const fields = { ...about(failure.status.code), reason: details.reason };
      switch (severity) {
        case 'refused':
          logger.info({ ...fields, violations: details.violations.length }, 'call refused');
          logger.debug({ ...fields, message: details.message }, 'refusal');
          break;
        case 'failed':
          logger.error({ ...fields, id: details.metadata.id, err: error }, 'call failed');
          break;
      }
      return failure;
    },
  };
}
