// Where the program looks for an endpoint and for an address: the same hashes as in bpf/table.h.

const seed = 0x50656e73;
/** The third word of ::ffff:a.b.c.d, read as little-endian. */
const mapped = 0xffff0000 | 0;

/**
 * The hash, as a signed word, of an address (four words, little-endian loads of the network's bytes) and of port and
 * protocol (see `keyOf`).
 */
export function tableHash(address: Int32Array, key: number): number {
  return finish(round(rounds(address), key));
}

/** The hash of an address alone, which chooses its cell. */
export function addressHash(address: Int32Array): number {
  return finish(rounds(address));
}

/** Port (as its two network bytes are loaded), and the protocol above: the fifth word of a key without its reach. */
export function keyOf(port: number, protocol: number): number {
  return (port >>> 8) | ((port & 0xff) << 8) | (protocol << 16);
}

function rounds(address: Int32Array): number {
  const a = address[0] as number;
  const b = address[1] as number;
  const c = address[2] as number;
  const d = address[3] as number;
  if (a === 0 && b === 0 && c === mapped) return round(seed, d);
  return round(round(round(round(seed, a), b), c), d);
}

function round(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function finish(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 13), 0x85ebca6b);
  return mixed ^ (mixed >>> 16);
}
