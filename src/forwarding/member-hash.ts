// Hashes of member ids and slots: where a member begins in a ring, and who inherits a slot.

/** A 32-bit hash of text, 0 to 2^32 - 1: MurmurHash3 (x86, 32 bits) with each UTF-16 code unit as a block. */
export function hashText(text: string, seed: number): number {
  let hash = seed | 0;
  for (let at = 0; at < text.length; at++) {
    let block = Math.imul(text.charCodeAt(at), 0xcc9e2d51);
    block = Math.imul((block << 15) | (block >>> 17), 0x1b873593);
    hash ^= block;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  return finish(hash ^ (text.length * 2));
}

/** A 32-bit hash of two numbers, 0 to 2^32 - 1. */
export function hashPair(a: number, b: number): number {
  return finish(Math.imul(a, 0x9e3779b1) ^ finish(b + 0x7f4a7c15));
}

/** MurmurHash3's finaliser: every bit of the input changes half the bits of the answer. */
function finish(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
