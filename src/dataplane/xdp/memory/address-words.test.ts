// Addresses in words and back, against a library's parsing.
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { expect, test } from 'vitest';
import { type IpAddress, parseAddress } from '../../../resources/address.ts';
import { readAddress, writeAddress } from './address-words.ts';
import { addressHash, keyOf, tableHash } from './hash.ts';

const group = fc.oneof(fc.constant(0), fc.constant(0), fc.nat(0xffff));

function bytesOf(address: IpAddress): readonly number[] {
  const words = readAddress(address, new Int32Array([1, 2, 3, 4]));
  return [...new Uint8Array(words.buffer)];
}

test('every address', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.array(group, { minLength: 8, maxLength: 8 })), (any) => {
      const text = typeof any === 'string' ? any : any.map((each) => each.toString(16)).join(':');
      const address = parseAddress(text);
      if (address === undefined) throw new TypeError(text);
      const parsed = ipaddr.parse(address);
      const expected = parsed instanceof ipaddr.IPv4 ? parsed.toIPv4MappedAddress() : parsed;
      expect(bytesOf(address)).toEqual(expected.toByteArray());
      const mapped = expected.isIPv4MappedAddress();
      expect(writeAddress(readAddress(address, new Int32Array(4)))).toBe(
        mapped ? expected.toIPv4Address().toString() : address,
      );
    }),
    { numRuns: 2000 },
  );
});

// The numbers are those of bpf/hash.h, compiled for the host.
test('hashes are what the program computes', () => {
  const words = (text: string) => readAddress(text as IpAddress, new Int32Array(4));
  const key = keyOf(443, 6);
  expect(key).toBe(0x06bb01);
  expect(tableHash(words('203.0.113.1'), key) >>> 0).toBe(784411776);
  expect(tableHash(words('2001:db8::1'), key) >>> 0).toBe(270134934);
  expect(addressHash(words('203.0.113.1')) >>> 0).toBe(147458288);
  expect(addressHash(words('2001:db8::1')) >>> 0).toBe(518370697);
});
