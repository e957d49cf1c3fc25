// C functions called through koffi, which is loaded when first needed: it has no build for some platforms.
import { createRequire } from 'node:module';
import type { KoffiFunc } from 'koffi';

type Koffi = typeof import('koffi');

/** A C pointer; NULL is `null`. */
export type Pointer = bigint;

/** What C may read or write: memory of Node's, or of its own. */
export type Memory = Uint8Array | Pointer | null;

/** A C function. Called, it runs on the calling thread; its `async` runs on another one. */
export type Foreign<Call extends (...args: never[]) => unknown> = KoffiFunc<Call>;

const require = createRequire(import.meta.url);
let loaded: Koffi | undefined;

/** Throws where koffi has no build for the platform. */
export function koffi(): Koffi {
  loaded ??= require('koffi') as Koffi;
  return loaded;
}

/**
 * Calls a C function on another thread: for what may take more than 5 ms. Never for what depends on the network
 * namespace, since other threads may have been started in another one.
 */
export function aside<Args extends unknown[], Result>(
  call: Foreign<(...args: Args) => Result>,
  ...args: Args
): Promise<Result> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: Error | null, result: Result) => {
      if (error) reject(error);
      else resolve(result);
    });
  });
}

/** Memory for C to fill, never moved by Node. Small buffers may be, so there are none. */
export function memory(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(Math.max(bytes, 128)).fill(0);
  return buffer.subarray(0, bytes);
}
