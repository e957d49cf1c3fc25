// Fills the maps that say what is around the gateway, as the agent would.
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import * as layout from '../../../src/dataplane/xdp/memory/layout.ts';
import { addressBytes, macBytes } from '../frame/address.ts';
import type { Tag } from '../frame/packet.ts';
import type { Indices } from './network.ts';
import { type Device, type DeviceName, devices, physicalOf } from './places.ts';

const receives = 1;
const sends = 2;
const gatewayRoute = 1;
const askRoute = 0;

export function fillDevices(program: LoadedProgram, indices: Indices): void {
  const { buffer } = program.memory('devices');
  const view = new DataView(buffer);
  for (const [name, device] of list()) {
    // The program knows nothing of where it does not run.
    if (name === 'apart') continue;
    const at = (indices[name] & 1023) * layout.device.size;
    const flags = (receivesBy(name) ? receives : 0) | (name === 'unfit' ? 0 : sends);
    view.setUint32(at + layout.device.physical, indices[physicalOf(name)], true);
    view.setUint32(at + layout.device.flags, flags, true);
    view.setUint32(at + layout.device.tags, device.tags.length, true);
    new Uint8Array(buffer).set(tagBytes(device.tags), at + layout.device.tag);
    new Uint8Array(buffer).set(macBytes(device.mac), at + layout.device.mac);
    view.setUint16(at + layout.device.mtu, device.mtu ?? 1500, true);
    view.setUint32(at + layout.device.index, indices[name], true);
  }
}

export function fillVlans(program: LoadedProgram, indices: Indices): void {
  const vlans = program.elements('vlans');
  for (const [name, device] of list()) {
    if (device.tags.length === 0) continue;
    const key = new Uint8Array(12);
    new DataView(key.buffer).setUint32(0, indices[physicalOf(name)], true);
    key.set(tagBytes(device.tags), 4);
    const value = new Uint8Array(4);
    new DataView(value.buffer).setUint32(0, indices[name], true);
    vlans.put(key, value);
  }
}

/** Longest first. Whatever is not behind the default routers is asked for. */
const listed: readonly (readonly [prefix: string, kind: number, gateway?: string])[] = [
  ['2001:db8:1::/64', askRoute],
  ['2001:db8:9::/64', askRoute],
  ['198.51.96.0/20', askRoute],
  ['10.0.0.0/8', askRoute],
  ['fd00::/8', askRoute],
  ['0.0.0.0/0', gatewayRoute, '198.51.100.254'],
  ['::/0', gatewayRoute, '2001:db8:1::fe'],
];

/** `apart` is in it, and others that the FIB leads to the program's own interfaces. */
const elsewhere = '10.8.0.0/13';

/** What next hops may be remembered for: a router's, on behalf of all behind it. */
export function fillRoutes(program: LoadedProgram, indices: Indices): void {
  const { buffer } = program.memory('routes');
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  const fill = (at: number, cidr: string): void => {
    const [address = '', length = ''] = cidr.split('/');
    const bits = Number(length) + (address.includes(':') ? 0 : 96);
    const whole = Uint8Array.from({ length: 16 }, (_, byte) => mapped(addressBytes(address))[byte] ?? 0);
    const mask = Uint8Array.from(
      { length: 16 },
      (_, byte) => (0xff00 >> Math.max(0, Math.min(8, bits - byte * 8))) & 0xff,
    );
    bytes.set(
      whole.map((byte, position) => byte & (mask[position] ?? 0)),
      at + layout.route.prefix,
    );
    bytes.set(mask, at + layout.route.mask);
  };
  fill((layout.routesMax - 1) * layout.route.size, elsewhere);
  for (const [index, [cidr, kind, gateway]] of listed.entries()) {
    const at = index * layout.route.size;
    fill(at, cidr);
    view.setUint32(at + layout.route.kind, kind, true);
    if (gateway === undefined) continue;
    bytes.set(mapped(addressBytes(gateway)), at + layout.route.gateway);
    view.setUint32(at + layout.route.device, indices.wan, true);
  }
  new DataView(program.memory('control').buffer).setUint32(
    layout.control.routes,
    listed.length | (1 << 8),
    true,
  );
}

/** Where packets within others come from. */
export const tunnelSources = { 4: '10.1.0.254', 6: 'fd01::fe' } as const;

export function fillTunnels(program: LoadedProgram): void {
  const bytes = new Uint8Array(program.memory('control').buffer);
  bytes.set(mapped(addressBytes(tunnelSources[4])), layout.control.tunnels);
  bytes.set(mapped(addressBytes(tunnelSources[6])), layout.control.tunnels + 16);
}

function receivesBy(name: DeviceName): boolean {
  return name !== 'apart' && physicalOf(name) === name;
}

function list(): readonly (readonly [DeviceName, Device])[] {
  return (Object.keys(devices) as DeviceName[]).map((name) => [name, devices[name]]);
}

function tagBytes(tags: readonly Tag[]): Uint8Array {
  return Uint8Array.from(
    tags.flatMap(({ protocol, id }) => [protocol >> 8, protocol & 255, id >> 8, id & 255]),
  );
}

function mapped(bytes: Uint8Array): Uint8Array {
  return bytes.length === 16 ? bytes : Uint8Array.of(...new Array<number>(10).fill(0), 255, 255, ...bytes);
}
