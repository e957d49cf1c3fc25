// Flows in the flow table, as a packet would have written them.
import { ip } from '../../../../forwarding/testing/declare.ts';
import { readAddress } from '../address-words.ts';
import { bucket, flow, flowKind, flowState, member } from '../layout.ts';
import type { Memory } from '../map-memory.ts';
import { frontendAddress } from './entries.ts';
import type { Reader } from './reader.ts';

/** When the newest flow was seen. */
const now = 0x000005;

export interface Noted {
  readonly kind?: number;
  readonly state?: number;
  /** Units of about a second. */
  readonly age?: number;
  readonly protocol?: number;
  readonly port?: number;
  readonly machine?: string;
  readonly frontendSerial?: number;
  readonly memberSerial?: number;
}

/** Puts a flow at a place; a balanced one to a member of the ring that its frontend leads to. */
export function noteFlow(memory: Memory, reader: Reader, place: number, noted: Noted): void {
  const { kind = flowKind.balanced, state = flowState.open, age = 0, protocol = 6, port = 80 } = noted;
  const [index, way] = [Math.floor(place / 7), place % 7];
  const view = new DataView(memory.flows.buffer);
  const at = index * bucket.size + bucket.flows + way * flow.size;
  const found = reader.frontend(frontendAddress, protocol === 6 ? 'tcp' : 'udp', port);
  if (found === undefined) throw new Error('no such frontend');
  const address = (text: string, offset: number): void =>
    readAddress(ip(text), new Int32Array(4)).forEach((word, each) => {
      view.setInt32(at + offset + each * 4, word, true);
    });
  const machine = noted.machine ?? '10.0.0.1';
  address('198.51.100.7', flow.client);
  address(machine, flow.machine);
  view.setUint16(at + flow.client_port, 40_000 + place);
  view.setUint16(at + flow.frontend_port, port);
  view.setUint16(at + flow.machine_port, 8080);
  view.setUint32(at + flow.frontend, found.place, true);
  view.setUint32(at + flow.frontend_serial, noted.frontendSerial ?? found.target.serial, true);
  if (kind === flowKind.balanced) {
    const members = Array.from({ length: memory.members.entries }, (_, each) => each);
    const to = members.find((each) => {
      const { state: states, machine: owner, ring } = reader.member(each);
      return states !== 0 && ring === found.target.to && reader.machineAddress(owner) === machine;
    });
    view.setUint32(at + flow.to, to ?? 0, true);
    const serial = new DataView(memory.members.buffer).getUint32(
      (to ?? 0) * member.size + member.serial,
      true,
    );
    view.setUint32(at + flow.member_serial, noted.memberSerial ?? serial, true);
  }
  view.setUint8(at + flow.protocol, protocol);
  view.setUint8(at + flow.kind, kind);
  const seen = (now - age) & 0xffffff;
  view.setBigUint64(index * bucket.size + way * 8, (9n << 32n) | (BigInt(state) << 24n) | BigInt(seen), true);
}

/** The member that a flow refers to, by its machine's address and the index of its ring; undefined where that is gone. */
export function memberOfFlow(
  memory: Memory,
  reader: Reader,
  place: number,
): { readonly machine: string; readonly ring: number } | undefined {
  const at = Math.floor(place / 7) * bucket.size + bucket.flows + (place % 7) * flow.size;
  const view = new DataView(memory.flows.buffer);
  const { serial, state, machine, ring } = reader.member(view.getUint32(at + flow.to, true));
  if (state === 0 || serial !== view.getUint32(at + flow.member_serial, true)) return undefined;
  return { machine: reader.machineAddress(machine), ring };
}
