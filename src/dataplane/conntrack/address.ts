// An address as the bytes that stand in a packet.
import type { IpAddress } from '../../resources/address.ts';

/** 4 or 16 bytes in network order. The address is canonical, so nothing is checked. */
export function addressBytes(address: IpAddress): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const bytes = Buffer.alloc(16);
  const [head = '', tail] = address.split('::');
  const words = (part: string): readonly string[] => (part === '' ? [] : part.split(':').flatMap(expand));
  let at = 0;
  for (const word of words(head)) at = bytes.writeUInt16BE(Number.parseInt(word, 16), at);
  const last = tail === undefined ? [] : words(tail);
  at = 16 - 2 * last.length;
  for (const word of last) at = bytes.writeUInt16BE(Number.parseInt(word, 16), at);
  return bytes;
}

/** An embedded IPv4 address stands for two words. */
function expand(word: string): readonly string[] {
  if (!word.includes('.')) return [word];
  const [a = 0, b = 0, c = 0, d = 0] = word.split('.').map(Number);
  return [(a * 256 + b).toString(16), (c * 256 + d).toString(16)];
}
