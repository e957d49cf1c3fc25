// Calls with bytes of the test's choice, as a broken client would make them.
import { Client, credentials } from '@grpc/grpc-js';
import { callFailed } from '../../../src/wire/errors.ts';
import { serviceName } from '../../../src/wire/service.ts';

const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

/** Rejects with `CallFailed`. */
export async function callRaw(address: string, method: string, message: Uint8Array): Promise<Uint8Array> {
  using connection = connectRaw(address);
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  connection.client.makeUnaryRequest<Uint8Array, Buffer>(
    pathOf(method),
    asIs,
    asIs,
    message,
    (error, value) => (error === null ? resolve(value ?? new Uint8Array()) : reject(callFailed(error))),
  );
  return await promise;
}

/** The same with a stream of messages. */
export async function streamRaw(
  address: string,
  method: string,
  messages: readonly Uint8Array[],
): Promise<Uint8Array> {
  using connection = connectRaw(address);
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const call = connection.client.makeClientStreamRequest<Uint8Array, Buffer>(
    pathOf(method),
    asIs,
    asIs,
    (error, value) => (error === null ? resolve(value ?? new Uint8Array()) : reject(callFailed(error))),
  );
  call.on('error', () => {});
  for (const message of messages) call.write(message);
  call.end();
  return await promise;
}

function connectRaw(address: string): Disposable & { readonly client: Client } {
  const client = new Client(address, credentials.createInsecure());
  return { client, [Symbol.dispose]: () => client.close() };
}

function pathOf(method: string): string {
  return `/${serviceName}/${method}`;
}
