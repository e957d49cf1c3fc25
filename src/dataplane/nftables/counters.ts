// Counters of entries, element by element over netlink: linear where any list of a map is quadratic in the kernel.
import { setImmediate } from 'node:timers/promises';
import type { Entry } from '../../forwarding/table.ts';
import { familyOf } from '../../resources/address.ts';
import { addressBytes } from '../conntrack/address.ts';
import type { Counters } from '../dataplane.ts';
import { nativeU32 } from '../netlink/netlink.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { groupMark, protocolNumber } from './encode.ts';
import { readCounters } from './kernel.ts';

/** Two elements each; a piece takes about a millisecond. */
const entriesPerPiece = 128;

/** Reads the counters of `entries`; those that the kernel does not run are absent. */
export async function entryCounters(
  socket: NetlinkSocket,
  entries: readonly Entry[],
): Promise<ReadonlyMap<Entry, Counters>> {
  const found = new Map<Entry, Counters>();
  for (let at = 0; at < entries.length; at += entriesPerPiece) {
    const piece = entries.slice(at, at + entriesPerPiece);
    const counted = readCounters(socket, piece.flatMap(countedElements));
    piece.forEach((entry, index) => {
      const flows = counted[2 * index];
      const traffic = counted[2 * index + 1];
      if (flows && traffic) {
        found.set(entry, { packets: traffic.packets, bytes: traffic.bytes, flows: flows.packets });
      }
    });
    await setImmediate();
  }
  return found;
}

/** The element that counts first packets, and the one that counts all that the guard lets pass. */
function countedElements({
  endpoint,
  target,
}: Entry): readonly { readonly set: string; readonly key: Buffer }[] {
  const family = familyOf(endpoint.address);
  const key = Buffer.concat([
    addressBytes(endpoint.address),
    padded(protocolNumber[endpoint.transport]),
    ...(endpoint.port === 0 ? [] : [port(endpoint.port)]),
  ]);
  const any = endpoint.port === 0 ? '_any' : '';
  if (target.kind === 'balanced' && target.floating !== undefined) {
    return [
      { set: `float${any}_begun${family}`, key },
      { set: `float${any}${family}`, key },
    ];
  }
  // The port that the backend answers from stands in the key where one port is meant.
  const backendPort = endpoint.port === 0 ? [] : [port(target.port === 0 ? endpoint.port : target.port)];
  if (target.kind === 'nat') {
    const live = Buffer.concat([key, addressBytes(target.address), ...backendPort]);
    return [
      { set: `nat${any}${family}`, key },
      { set: `nat${any}_live${family}`, key: live },
    ];
  }
  const live = Buffer.concat([nativeU32(groupMark(target.ring)), key, ...backendPort]);
  return [
    { set: `front${any}${family}`, key },
    { set: `front${any}_live${family}`, key: live },
  ];
}

/** Each part of a key fills whole 32-bit words, zeros at the end (nft_concat in the kernel's terms). */
function padded(byte: number): Buffer {
  return Buffer.of(byte, 0, 0, 0);
}

function port(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff, 0, 0);
}
