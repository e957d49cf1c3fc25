// The machines that the memory knows, as addresses.
import type { IpAddress } from '../../../resources/address.ts';
import { writeAddress } from './address-words.ts';
import { machineKey } from './backends.ts';
import { backend, way } from './layout.ts';
import type { Memory } from './map-memory.ts';
import { keyAt, keyBits } from './table.ts';

const stride = backend.size / 4;

/** Reads on while it is asked, so what changes meanwhile may be in it or not. Nothing once the memory is let go. */
export function* machineAddresses({ backends }: Pick<Memory, 'backends'>): Generator<IpAddress> {
  const words = new Int32Array(backends.buffer);
  for (let at = 0; at < words.length; at += stride) {
    if (((words[at + keyAt] as number) & keyBits) !== machineKey) continue;
    const place = (words[at + backend.version / 4] as number) & 1;
    if (((words[at + backend.ways / 4 + place] as number) & way.exists) === 0) continue;
    yield writeAddress(words.subarray(at, at + 4));
  }
}
