// Puts devices into the array `devices`, which running programs read: open addressing by interface index.
import { devicesMax, device as layout } from '../memory/layout.ts';
import type { MapMemory } from '../memory/map-memory.ts';
import type { Device, Tag, Vlan } from './devices.ts';
import { macBytes } from './link.ts';

/** DEVICE_PROBES, and the flags of `struct device` */
const probes = 4;
const flag = { receives: 1, sends: 2, losesReturns: 4 } as const;
const mtuMax = 0xffff;

/**
 * Makes the array hold exactly these devices. What is there already is not touched; what changes loses its flags meanwhile,
 * and packets to it are routed by the kernel for that moment. Returns those for which no place was free: flows over them
 * are left to nftables.
 */
export function writeDevices(memory: MapMemory, devices: readonly Device[]): readonly Device[] {
  const wanted = new Map(devices.map((device) => [device.index, device]));
  const present = new Map<number, number>();
  for (let place = 0; place < devicesMax; place += 1) {
    const index = indexAt(memory, place)[0] ?? 0;
    if (index === 0) continue;
    if (wanted.has(index) && !present.has(index)) present.set(index, place);
    else Atomics.store(indexAt(memory, place), 0, 0);
  }
  const unplaced: Device[] = [];
  for (const device of wanted.values()) {
    const place = present.get(device.index) ?? freePlace(memory, device.index);
    if (place === undefined) unplaced.push(device);
    else writeDevice(memory, place, device);
  }
  return unplaced;
}

/** As `struct device` of bpf/abi.h. */
export function encodeDevice(device: Device): Buffer {
  const bytes = Buffer.alloc(layout.size);
  bytes.writeUInt32LE(device.index, layout.index);
  bytes.writeUInt32LE(device.physical, layout.physical);
  bytes.writeUInt32LE(flagsOf(device), layout.flags);
  bytes.writeUInt32LE(device.tags.length, layout.tags);
  writeTags(bytes, layout.tag, device.tags);
  macBytes(device.mac).copy(bytes, layout.mac);
  bytes.writeUInt16LE(Math.min(device.mtu, mtuMax), layout.mtu);
  return bytes;
}

function flagsOf({ receives, sends, returns }: Device): number {
  return (receives ? flag.receives : 0) | (sends ? flag.sends : 0) | (returns ? 0 : flag.losesReturns);
}

/** `struct vlan_key` of bpf/abi.h and its value, both as the map has them. */
export function encodeVlan({ physical, tags, index }: Vlan): {
  readonly key: Buffer;
  readonly value: Buffer;
} {
  const key = Buffer.alloc(12);
  key.writeUInt32LE(physical, 0);
  writeTags(key, 4, tags);
  const value = Buffer.alloc(4);
  value.writeUInt32LE(index, 0);
  return { key, value };
}

function writeDevice(memory: MapMemory, place: number, device: Device): void {
  const bytes = encodeDevice(device);
  const there = Buffer.from(memory.buffer, place * memory.valueSize, layout.size);
  if (there.equals(bytes)) return;
  const flags = new Uint32Array(memory.buffer, place * memory.valueSize + layout.flags, 1);
  Atomics.store(flags, 0, 0);
  bytes.copy(there, layout.physical, layout.physical, layout.flags);
  bytes.copy(there, layout.tags, layout.tags);
  Atomics.store(flags, 0, flagsOf(device));
  Atomics.store(indexAt(memory, place), 0, device.index);
}

function freePlace(memory: MapMemory, index: number): number | undefined {
  for (let probe = 0; probe < probes; probe += 1) {
    const place = (index + probe) % devicesMax;
    if (indexAt(memory, place)[0] === 0) return place;
  }
  return undefined;
}

/** The first field of a place, alone. */
function indexAt(memory: MapMemory, place: number): Uint32Array {
  return new Uint32Array(memory.buffer, place * memory.valueSize + layout.index, 1);
}

function writeTags(bytes: Buffer, at: number, tags: readonly Tag[]): void {
  for (const [i, { protocol, id }] of tags.entries()) {
    bytes.writeUInt16BE(protocol, at + 4 * i);
    bytes.writeUInt16BE(id, at + 4 * i + 2);
  }
}
