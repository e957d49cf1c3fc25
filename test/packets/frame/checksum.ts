// The Internet checksum (RFC 1071) from nothing: the program's own way (RFC 1624) must come to the same.

/** Ones' complement sum of 16-bit words; an odd last byte is padded with zero. 0 to 0xffff. */
export function sum(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let total = 0;
  for (let at = from; at + 1 < to; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if ((to - from) % 2 === 1) total += (bytes[to - 1] ?? 0) << 8;
  return fold(total);
}

/** Adds sums in ones' complement. */
export function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = Math.floor(folded / 0x10000) + (folded % 0x10000);
  return folded;
}

/** What is written into a checksum field over bytes of such a sum. */
export function checksumOf(total: number): number {
  return ~fold(total) & 0xffff;
}
