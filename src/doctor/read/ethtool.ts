// What a driver says of itself: its name, offloads and queues, as ethtool(8) asks for them.
// Layouts: include/uapi/linux/ethtool.h. The calls used here are allowed to everybody.
import type { Channels, Offload, Offloads } from '../judge/interface.ts';
import { fixedBuffer, type Libc } from './libc.ts';

const command = { driver: 0x3, strings: 0x1b, stringCount: 0x37, features: 0x3a, channels: 0x3c } as const;
const featureStrings = 4;
const stringLength = 32;

/** The kernel's names of the offloads that matter. */
const names = {
  lro: ['rx-lro'],
  groHardware: ['rx-gro-hw'],
  gro: ['rx-gro'],
  receiveVlan: ['rx-vlan-hw-parse'],
  sendChecksum: ['tx-checksum-ip-generic', 'tx-checksum-ipv4', 'tx-checksum-ipv6'],
} as const satisfies Record<keyof Offloads, readonly string[]>;

export interface DriverFacts {
  readonly driver: string;
  /** Absent where the driver does not tell. */
  readonly offloads?: Offloads;
  readonly channels?: Channels;
}

export function askDriver(libc: Libc, link: string): DriverFacts {
  const offloads = readOffloads(libc, link);
  const channels = readChannels(libc, link);
  return {
    driver: readDriver(libc, link),
    ...(offloads === undefined ? {} : { offloads }),
    ...(channels === undefined ? {} : { channels }),
  };
}

function ask(libc: Libc, link: string, request: Buffer): Buffer | undefined {
  return libc.ethtool(link, request) < 0 ? undefined : request;
}

function requestOf(size: number, ...words: readonly number[]): Buffer {
  const request = fixedBuffer(size);
  for (const [index, word] of words.entries()) request.writeUInt32LE(word, index * 4);
  return request;
}

function readDriver(libc: Libc, link: string): string {
  const answer = ask(libc, link, requestOf(196, command.driver));
  return answer?.toString('latin1', 4, 36).replace(/\0.*$/s, '') ?? '';
}

function readChannels(libc: Libc, link: string): Channels | undefined {
  const answer = ask(libc, link, requestOf(36, command.channels));
  if (answer === undefined) return undefined;
  const word = (index: number): number => answer.readUInt32LE(index * 4);
  return {
    receive: { now: word(5), most: word(1) },
    combined: { now: word(8), most: word(4) },
  };
}

function readOffloads(libc: Libc, link: string): Offloads | undefined {
  const counted = ask(libc, link, requestOf(20, command.stringCount, 0, 1 << featureStrings, 0));
  const count = counted?.readUInt32LE(16) ?? 0;
  if (count === 0) return undefined;
  const strings = ask(
    libc,
    link,
    requestOf(12 + count * stringLength, command.strings, featureStrings, count),
  );
  const blocks = Math.ceil(count / 32);
  const features = ask(libc, link, requestOf(8 + blocks * 16, command.features, blocks));
  if (strings === undefined || features === undefined) return undefined;
  const index = new Map<string, number>();
  for (let at = 0; at < count; at += 1) {
    const start = 12 + at * stringLength;
    index.set(strings.toString('latin1', start, start + stringLength).replace(/\0.*$/s, ''), at);
  }
  const offload = (wanted: readonly string[]): Offload => {
    const found = wanted.map((name) => index.get(name)).filter((at) => at !== undefined);
    // Each block holds four words: available, requested, active, never changed.
    const set = (at: number, word: number): boolean =>
      ((features.readUInt32LE(8 + (at >> 5) * 16 + word * 4) >>> (at & 31)) & 1) === 1;
    const on = found.filter((at) => set(at, 2));
    return { on: on.length > 0, fixed: on.every((at) => !set(at, 0) || set(at, 3)) };
  };
  return {
    lro: offload(names.lro),
    groHardware: offload(names.groHardware),
    gro: offload(names.gro),
    receiveVlan: offload(names.receiveVlan),
    sendChecksum: offload(names.sendChecksum),
  };
}
