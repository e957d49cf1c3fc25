// Real frames through the program on real (virtual) wires: what is redirected leaves by the interface that it should.
import { execa } from 'execa';
import koffi from 'koffi';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memory } from '../../src/dataplane/xdp/kernel/foreign.ts';
import { checked } from '../../src/dataplane/xdp/kernel/kernel-error.ts';
import { libbpf } from '../../src/dataplane/xdp/kernel/library.ts';
import { encode } from './frame/encode.ts';
import { type End, type Packet, tcp, udp } from './frame/packet.ts';
import { type Becomes, forwarded, from } from './rows/row.ts';
import { Gateway } from './world/gateway.ts';
import { type DeviceName, departure, physicalOf } from './world/places.ts';
import { doors, front, front6 } from './world/rules.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.open();
  for (const name of ['wan', 'lan', 'narrow'] as const) {
    // What a veth's program sends back arrives only where the other end has a program as well (veth_xdp_flush in
    // drivers/net/veth.c). It lets all pass: the far end is no device of the gateway's.
    const far = JSON.parse((await execa('ip', ['-j', 'link', 'show', 'dev', `${name}-far`])).stdout);
    for (const ifindex of [gateway.indices[name], Number(far[0].ifindex)]) {
      attach(gateway.program.programFile('penstock'), ifindex);
    }
    await execa('ethtool', ['-K', `${name}-far`, 'tx', 'off']);
  }
});
afterAll(() => {
  gateway?.close();
});

it.each<readonly [string, Packet, Becomes]>([
  ['redirected, IPv4', tcp(client, [front, doors.machine]), forwarded({ to: ['10.1.0.1', 8080] })],
  ['redirected, IPv6', udp(client6, [front6, doors.machine]), forwarded({ to: ['fd01::1', 8080] })],
  [
    'redirected to another interface',
    udp(client, [front, doors.narrow]),
    forwarded({ to: ['10.7.0.1', 8080] }),
  ],
  ['redirected into a VLAN', tcp(client, [front, doors.vlan]), forwarded({ to: ['10.5.0.1', 8080] })],
  [
    'redirected into two VLANs',
    udp(client, [front, doors.doubleVlan]),
    forwarded({ to: ['10.6.0.1', 8080] }),
  ],
  ['sent back', tcp(client, [front, doors.sameWire]), forwarded({ to: ['198.51.100.50', 8080] })],
  ['way back', tcp(['10.1.0.1', 8080], client), forwarded({ from: [front, doors.machine] })],
  ['way back, IPv6', tcp(['fd01::1', 8080], client6), forwarded({ from: [front6, doors.machine] })],
  [
    'way back from two VLANs',
    tcp(['10.6.0.1', 8080], client),
    forwarded({ from: [front, doors.doubleVlan] }),
  ],
])('%s', (_, packet, becomes) => {
  const sent = from(packet);
  const expected = becomes(sent).packet;
  const out = physicalOf(departure(expected.ip.destination).device);
  const ear = openWire(out);
  const mouth = openWire(physicalOf(sent.device));
  try {
    mouth.send(encode(sent.packet));
    // The socket takes the outer tag off a frame.
    const seen = encode({
      ...expected,
      ethernet: { ...expected.ethernet, tags: expected.ethernet.tags.slice(1) },
    });
    expect(ear.hears(seen)).toBe(true);
  } finally {
    mouth.close();
    ear.close();
  }
});

function attach(program: number, ifindex: number): void {
  const options = memory(64);
  options.writeBigUInt64LE(64n, 0);
  // Native mode: XDP_FLAGS_DRV_MODE.
  options.writeUInt32LE(4, 8);
  checked(libbpf().linkCreate(program, ifindex, 37, options), `cannot attach to interface ${ifindex}`);
}

interface Wire {
  send(frame: Uint8Array): void;
  /** False if no such frame comes within a second. */
  hears(frame: Uint8Array): boolean;
  close(): void;
}

/** The far end of an interface's cable. */
function openWire(device: DeviceName): Wire {
  const library = koffi.load('libc.so.6');
  const socket = library.func('int socket(int, int, int)');
  const bind = library.func('int bind(int, void *, unsigned int)');
  const send = library.func('long send(int, void *, size_t, int)');
  const receive = library.func('long recv(int, _Out_ void *, size_t, int)');
  const setOption = library.func('int setsockopt(int, int, int, void *, unsigned int)');
  const close = library.func('int close(int)');
  const nameToIndex = library.func('unsigned int if_nametoindex(const char *)');
  const [afPacket, sockRaw, everything] = [17, 3, 0x0300];
  const file: number = socket(afPacket, sockRaw, everything);
  const address = Buffer.alloc(20);
  address.writeUInt16LE(afPacket, 0);
  address.writeUInt16LE(everything, 2);
  address.writeInt32LE(nameToIndex(`${device}-far`), 4);
  if (file < 0 || bind(file, address, address.length) !== 0)
    throw new Error(`no socket on ${device}: ${koffi.errno()}`);
  const [solSocket, soReceiveTimeout] = [1, 20];
  const second = Buffer.alloc(16);
  second.writeBigInt64LE(1n, 0);
  setOption(file, solSocket, soReceiveTimeout, second, second.length);
  return {
    send(frame) {
      if (send(file, Buffer.from(frame), frame.length, 0) !== frame.length)
        throw new Error(`not sent: ${koffi.errno()}`);
    },
    hears(frame) {
      const buffer = Buffer.alloc(4096);
      for (let left = 50; left > 0; left -= 1) {
        const length: number = receive(file, buffer, buffer.length, 0);
        if (length < 0) return false;
        if (Buffer.compare(buffer.subarray(0, length), frame) === 0) return true;
      }
      return false;
    },
    close() {
      close(file);
    },
  };
}
