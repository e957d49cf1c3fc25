// Addresses as the program has them: 16 bytes in four words. A million of them are read in one go, so there is no regular
// expression and nothing is allocated.
import type { IpAddress } from '../../../resources/address.ts';

const colon = 0x3a;
const dot = 0x2e;

/** Writes the four words of an address, IPv4 as ::ffff:a.b.c.d; `words` is what is returned. */
export function readAddress(address: IpAddress, words: Int32Array): Int32Array {
  let quad = 0;
  let part = 0;
  let shift = 0;
  for (let at = 0; at < address.length; at += 1) {
    const code = address.charCodeAt(at);
    if (code === dot) {
      quad |= part << shift;
      shift += 8;
      part = 0;
    } else if (code >= colon) {
      return readLong(address, words);
    } else {
      part = part * 10 + code - 0x30;
    }
  }
  words[0] = 0;
  words[1] = 0;
  words[2] = 0xffff0000;
  words[3] = quad | (part << shift);
  return words;
}

/** IPv6: groups of hexadecimal digits, `::` at most once. */
function readLong(address: IpAddress, words: Int32Array): Int32Array {
  words.fill(0);
  const end = address.indexOf('::');
  const head = end < 0 ? address.length : end;
  readGroups(address, 0, head, 0, words);
  if (end >= 0 && end + 2 < address.length) {
    let groups = 1;
    for (let at = end + 2; at < address.length; at += 1) if (address.charCodeAt(at) === colon) groups += 1;
    readGroups(address, end + 2, address.length, 8 - groups, words);
  }
  return words;
}

function readGroups(address: string, from: number, to: number, first: number, words: Int32Array): void {
  let group = first;
  let value = 0;
  for (let at = from; at <= to; at += 1) {
    const code = at === to ? colon : address.charCodeAt(at);
    if (code === colon) {
      if (at > from) putGroup(words, group, value);
      group += 1;
      value = 0;
    } else {
      value = value * 16 + (code <= 0x39 ? code - 0x30 : code - 0x57);
    }
  }
}

function putGroup(words: Int32Array, group: number, value: number): void {
  const swapped = (value >>> 8) | ((value & 0xff) << 8);
  words[group >> 1] = (words[group >> 1] as number) | (swapped << ((group & 1) * 16));
}

/** The last word of what is an IPv4 address; 0 for others. */
export function inetOf(words: Int32Array): number {
  const isMapped = words[0] === 0 && words[1] === 0 && words[2] === (0xffff0000 | 0);
  return isMapped ? (words[3] as number) : 0;
}

/** The canonical text of four words; the inverse of `readAddress`. */
export function writeAddress(words: ArrayLike<number>): IpAddress {
  return textOf(words) as IpAddress;
}

function textOf(words: ArrayLike<number>): string {
  const bytes: number[] = [];
  for (let at = 0; at < 16; at += 1) bytes.push(((words[at >> 2] as number) >>> ((at & 3) * 8)) & 0xff);
  if (words[0] === 0 && words[1] === 0 && ((words[2] as number) | 0) === (0xffff0000 | 0)) {
    return bytes.slice(12).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0));
  // RFC 5952: the longest run of at least two zero groups, the first of equal ones.
  let best = 0;
  let length = 1;
  for (let from = 0; from < 8; from += 1) {
    let to = from;
    while (to < 8 && groups[to] === 0) to += 1;
    if (to - from > length) {
      best = from;
      length = to - from;
    }
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  return length < 2 ? text(groups) : `${text(groups.slice(0, best))}::${text(groups.slice(best + length))}`;
}
