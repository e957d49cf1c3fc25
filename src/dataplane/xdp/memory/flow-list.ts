// Lists the live flows of the flow table, as a packet would find them, while packets change them.
import type { IpAddress, Transport } from '../../../resources/address.ts';
import {
  FlowCollector,
  type FlowList,
  type FlowQuery,
  type FlowState,
  type LiveFlow,
} from '../../live-flow.ts';
import { writeAddress } from './address-words.ts';
import {
  bucket,
  control,
  flow,
  flowKind,
  flowState,
  flowWays,
  frontend,
  machine,
  member,
  memberState,
  target,
  targetKind,
} from './layout.ts';
import type { MapMemory, Memory } from './map-memory.ts';
import { inSteps } from './steps.ts';

const bucketWords = bucket.size / 4;
const flowsAt = bucket.flows / 4;
const flowWords = flow.size / 4;

/** As in bpf/flow.h, in units of 2^30 ns: nothing is taken away there, it only gives way after this time. */
const flowTime = 0xffffff;
const lifetime = { tcpNew: 56, udpNew: 28, udpOpen: 112, tcpOpen: 402_331 } as const;

const protocols: Readonly<Record<number, Transport>> = { 6: 'tcp', 17: 'udp' };

/** Those that are over, or that a packet would take for dead, are left out. */
export async function listFlows(memory: Memory, query: FlowQuery): Promise<FlowList> {
  const found = new FlowCollector(query);
  await inSteps(collect(memory, found));
  return found.list;
}

function* collect(memory: Memory, found: FlowCollector): Generator<void, void, void> {
  const { buffer, entries } = memory.flows;
  const words = new Int32Array(buffer, 0, entries * bucketWords);
  const now = yield* newest(words, entries);
  for (let index = 0; index < entries; index += 1) {
    if (index % 1024 === 1023) yield;
    for (let way = 0; way < flowWays; way += 1) {
      const live = liveAt(memory, words, index, way, now);
      if (live !== undefined && !found.add(live)) return;
    }
  }
}

/** When any flow was last seen: the program's clock is not known here, and the busiest flow is a good one. */
function* newest(words: Int32Array, entries: number): Generator<void, number, void> {
  let latest: number | undefined;
  for (let index = 0; index < entries; index += 1) {
    if (index % 4096 === 4095) yield;
    for (let way = 0; way < flowWays; way += 1) {
      const low = words[index * bucketWords + way * 2] as number;
      if (low >>> 24 < flowState.fresh) continue;
      const seen = low & flowTime;
      // Time goes round: ahead is what lies less than half a round ahead.
      if (latest === undefined || ((seen - latest) & flowTime) < flowTime / 2) latest = seen;
    }
  }
  return latest ?? 0;
}

function liveAt(
  memory: Memory,
  words: Int32Array,
  index: number,
  way: number,
  now: number,
): LiveFlow | undefined {
  const word = index * bucketWords + way * 2;
  const low = Atomics.load(words, word);
  if (low >>> 24 < flowState.fresh) return undefined;
  const high = words[word + 1];
  const at = index * bucketWords + flowsAt + way * flowWords;
  const content = new DataView(words.slice(at, at + flowWords).buffer);
  // Somebody has written there meanwhile: one that has just begun is not missed.
  if (Atomics.load(words, word) >>> 24 !== low >>> 24 || words[word + 1] !== high) return undefined;
  const transport = protocols[content.getUint8(flow.protocol)];
  const kind = content.getUint8(flow.kind);
  if (transport === undefined || (kind !== flowKind.nat && kind !== flowKind.balanced)) return undefined;
  const state = stateOf(low >>> 24, transport, ageOf(now, low));
  if (state === undefined) return undefined;
  const epoch = new DataView(memory.control.buffer).getUint32(control.epoch, true);
  const place = content.getUint32(flow.frontend, true);
  if (!leadsOn(memory.frontends, place, content.getUint32(flow.frontend_serial, true), epoch))
    return undefined;
  if (kind === flowKind.balanced && !keeps(memory.members, content, transport, epoch)) return undefined;
  const entry = place * frontend.size;
  return {
    direction: 'inbound',
    transport,
    peer: { address: addressAt(content, flow.client), port: content.getUint16(flow.client_port) },
    frontend: {
      address: addressAt(viewOf(memory.frontends), entry + frontend.address),
      port: content.getUint16(flow.frontend_port),
    },
    machine: {
      address: floats(memory.frontends, place, epoch)
        ? machineOf(memory, content)
        : addressAt(content, flow.machine),
      port: content.getUint16(flow.machine_port),
    },
    anyPort: viewOf(memory.frontends).getUint16(entry + frontend.port) === 0,
    state,
    keptBy: 'xdp',
    packets: 0,
    bytes: 0,
  };
}

/** Since a flow was last seen; 0 where a packet has come since `now` was found. */
function ageOf(now: number, low: number): number {
  const age = (now - low) & flowTime;
  return age < flowTime / 2 ? age : 0;
}

/** Undefined where it is over. */
function stateOf(state: number, transport: Transport, age: number): FlowState | undefined {
  const [fresh, open] =
    transport === 'tcp' ? [lifetime.tcpNew, lifetime.tcpOpen] : [lifetime.udpNew, lifetime.udpOpen];
  if (state === flowState.open) return age <= open ? 'established' : undefined;
  if (age > fresh) return undefined;
  if (state === flowState.closing || state === flowState.leaving) return 'closing';
  return state === flowState.replied ? 'established' : 'new';
}

/** Whether the frontend still has the target that the flow was made for. */
function leadsOn(map: MapMemory, place: number, serial: number, epoch: number): boolean {
  if (place >= map.entries) return false;
  const view = viewOf(map);
  const at = place * frontend.size;
  const which = visible(view.getUint32(at + frontend.version, true), epoch);
  const base = at + frontend.targets + which * target.size;
  return view.getUint8(base + target.kind) !== 0 && view.getUint32(base + target.serial, true) === serial;
}

/** Whether the frontend's address stays: the flow does not hold its machine's then. */
function floats(map: MapMemory, place: number, epoch: number): boolean {
  const view = viewOf(map);
  const at = place * frontend.size;
  const which = visible(view.getUint32(at + frontend.version, true), epoch);
  return view.getUint8(at + frontend.targets + which * target.size + target.kind) >= targetKind.floating;
}

/** Of a balanced flow whose member is there. */
function machineOf({ members, machines }: Memory, content: DataView): IpAddress {
  const place = content.getUint32(flow.to, true);
  const index = viewOf(members).getUint32(place * member.size + member.machine, true);
  return addressAt(viewOf(machines), index * machine.size + machine.address);
}

/** Whether the member that the flow was given to is still there, and keeps flows of this kind. */
function keeps(map: MapMemory, content: DataView, transport: Transport, epoch: number): boolean {
  const place = content.getUint32(flow.to, true);
  if (place >= map.entries) return false;
  const view = viewOf(map);
  const at = place * member.size;
  const states = view.getUint8(
    at + member.states + visible(view.getUint32(at + member.version, true), epoch),
  );
  const serial = view.getUint32(at + member.serial, true);
  return (states & memberState[transport]) !== 0 && serial === content.getUint32(flow.member_serial, true);
}

/** Which of an entry's two places packets read. */
function visible(version: number, epoch: number): number {
  return version >>> 1 <= epoch ? version & 1 : (version & 1) ^ 1;
}

function addressAt(view: DataView, at: number) {
  return writeAddress([0, 4, 8, 12].map((offset) => view.getInt32(at + offset, true)));
}

const views = new WeakMap<ArrayBuffer, DataView>();

function viewOf({ buffer }: MapMemory): DataView {
  const view = views.get(buffer) ?? new DataView(buffer);
  views.set(buffer, view);
  return view;
}
