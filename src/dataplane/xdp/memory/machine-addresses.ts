// The machines that the memory knows, as addresses.
import { type IpAddress, parseAddress } from '../../../resources/address.ts';
import { backend, protocolMachine, way } from './layout.ts';
import type { Memory } from './map-memory.ts';

/** Reads on while it is asked, so what changes meanwhile may be in it or not. */
export function* machineAddresses({ backends }: Pick<Memory, 'backends'>): Generator<IpAddress> {
  const bytes = Buffer.from(backends.buffer);
  for (let at = 0; at < backends.entries * backend.size; at += backend.size) {
    if (bytes[at + backend.protocol] !== protocolMachine) continue;
    const place = bytes.readUInt32LE(at + backend.version) & 1;
    if ((bytes.readInt32LE(at + backend.ways + 4 * place) & way.exists) === 0) continue;
    const address = parseAddress(textOf(bytes.subarray(at, at + 16)));
    if (address !== undefined) yield address;
  }
}

function textOf(bytes: Buffer): string {
  const mapped = bytes.readUInt32BE(8) === 0xffff && bytes.readBigUInt64BE(0) === 0n;
  if (mapped) return [...bytes.subarray(12)].join('.');
  return (bytes.toString('hex').match(/.{4}/g) ?? []).join(':');
}
