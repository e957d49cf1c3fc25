// bpf/abi.h in TypeScript: where every field of every map's values lies. Offsets and sizes are in bytes; layout.test.ts
// has the compiler compare them.

/** `ABI_VERSION`. */
export const abiVersion = 3;

/** `struct control`. What lies in its spare part is the agent's alone, see `stampPlaces`. */
export const control = {
  size: 160,
  abi: 0,
  epoch: 4,
  gate: 8,
  hop_cache: 12,
  routes: 16,
  flow_seed: 20,
  mark: 24,
  instance: 32,
  revision: 40,
  sequence: 48,
  spare: 56,
  tunnels: 128,
} as const;

/** In `control.spare`: the first serial that has never been given out (u32). */
export const serialOffset = control.spare;
/**
 * In `control.spare`: the stamps (instance, revision, sequence; u64 each) of the newest epoch and of the one before it or
 * after it. That of an epoch is at `epoch & 1`, so that the one store of the epoch changes both.
 */
export const stampPlaces = [control.spare + 8, control.spare + 40] as const;

/** `struct target` */
export const target = { size: 16, to: 0, port: 4, kind: 6, affinity: 7, counter: 8, serial: 12 } as const;

/** `struct frontend` */
export const frontend = {
  size: 64,
  address: 0,
  port: 16,
  protocol: 18,
  reach: 19,
  version: 20,
  targets: 24,
  inet: 56,
} as const;

/** `struct backend` */
export const backend = {
  size: 32,
  address: 0,
  port: 16,
  protocol: 18,
  reach: 19,
  version: 20,
  ways: 24,
} as const;

/** `struct next_hop` */
export const nextHop = { size: 20, device: 0, destination: 4, source: 10, mtu: 16, pad: 18 } as const;

/** `struct machine` */
export const machine = { size: 64, address: 0, fresh: 16, hops: 24 } as const;

/** `struct route` */
export const route = {
  size: 128,
  prefix: 0,
  mask: 16,
  fresh: 32,
  hops: 40,
  kind: 80,
  pad: 84,
  gateway: 88,
  device: 104,
  pad2: 108,
  spare: 112,
} as const;

/** `struct ring_range` */
export const ringRange = { size: 8, first: 0 } as const;

/** `struct ring` */
export const ring = { size: 32, version: 0, number: 4, ranges: 8, spare: 24 } as const;

/** `struct slots` */
export const slots = { size: 64, members: 0 } as const;

/** `struct member` */
export const member = {
  size: 32,
  version: 0,
  states: 4,
  pad: 6,
  machine: 8,
  serial: 12,
  counter: 16,
  ring: 20,
  spare: 24,
} as const;

/** `struct counter` */
export const counter = { size: 32, packets: 0, bytes: 8, flows: 16, spare: 24 } as const;

/** `struct flow` */
export const flow = {
  size: 64,
  client: 0,
  machine: 16,
  client_port: 32,
  frontend_port: 34,
  machine_port: 36,
  sent_port: 38,
  frontend: 40,
  frontend_serial: 44,
  to: 48,
  member_serial: 52,
  protocol: 56,
  kind: 57,
  pad: 58,
  spare: 60,
} as const;

/** `struct bucket` */
export const bucket = { size: 512, words: 0, spare: 56, flows: 64 } as const;

/** `struct cells` */
export const cells = { size: 64, cells: 0 } as const;

/** `struct stamps` */
export const stamps = { size: 64, stamps: 0 } as const;

/** `struct device` */
export const device = {
  size: 64,
  index: 0,
  physical: 4,
  flags: 8,
  tags: 12,
  tag: 16,
  mac: 24,
  mtu: 30,
  spare: 32,
} as const;

/** `enum target_kind` */
export const targetKind = {
  none: 0,
  nat: 1,
  tracked: 2,
  balanced: 3,
  handUp: 4,
  leave: 5,
  floating: 6,
  encapsulated: 7,
} as const;

/** `enum affinity` */
export const affinityNumber = { 'five-tuple': 0, 'client-ip': 1, 'client-ip-protocol': 2 } as const;

/** `AFFINITY_MACHINE`: what is handed up leads to a machine, not to a ring. */
export const handedUpMachine = 0xff;

/** `PROTOCOL_MACHINE` and the `WAY_` constants. */
export const protocolMachine = 255;
export const way = {
  exists: 0x80000000 | 0,
  shared: 0x40000000,
  index: 0x0fffffff,
  nobody: 0x0fffffff,
} as const;

/** `MEMBER_` constants. */
export const memberState = { tcp: 1, udp: 2, drained: 4 } as const;

/** `ADDRESS_` constants. */
export const addressBit = { frontend: 1, machine: 2, ring: 4 } as const;

/** `enum flow_kind` and `enum flow_state`. */
export const flowKind = { direct: 1, nat: 2, balanced: 3, back: 4 } as const;
export const flowState = {
  empty: 0,
  busy: 1,
  fresh: 2,
  replied: 3,
  open: 4,
  closing: 5,
  leaving: 6,
} as const;

export const flowWays = 7;
export const slotsPerUnit = 16;
export const cellsPerValue = 64;
export const stampsPerValue = 32;
export const routesMax = 16;
export const devicesMax = 1024;
export const contestedMax = 1024;

/** `ring_range.first` of a ring that is gone or not there yet: not read, because its size is 0. */
export const rangeGone = 0xffffffff | 0;
