// The program under test with its maps, in a network where every answer is known.

import type { Counters } from '../../../src/dataplane/dataplane.ts';
import { loadProgram } from '../../../src/dataplane/xdp/kernel/load.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import type { Settings } from '../../../src/dataplane/xdp/kernel/settings.ts';
import type { TestResult } from '../../../src/dataplane/xdp/kernel/test-run.ts';
import type { Image } from '../../../src/dataplane/xdp/memory/image.ts';
import * as layout from '../../../src/dataplane/xdp/memory/layout.ts';
import type { Shape } from '../../../src/dataplane/xdp/memory/shape.ts';
import { diff } from '../../../src/forwarding/diff.ts';
import { type Entry, endpointKey, type ForwardingTable } from '../../../src/forwarding/table.ts';
import { ip } from '../../../src/forwarding/testing/declare.ts';
import type { Transport } from '../../../src/resources/address.ts';
import { macBytes } from '../frame/address.ts';
import { encode } from '../frame/encode.ts';
import { mark, type Sent, type Step } from '../rows/row.ts';
import { fillDevices, fillRoutes, fillTunnels, fillVlans } from './maps.ts';
import { buildNetwork, type Indices } from './network.ts';
import { type DeviceName, physicalOf } from './places.ts';
import { tableOf, type Variation } from './rules.ts';
import { mapEntries, openImage, settingsOf, shape } from './tables.ts';

const object = new URL('../../../bpf/penstock.bpf.o', import.meta.url).pathname;

const instance = '00000000000000d0';

/** What is remembered of flows and clients. */
const memories = ['flows', 'seen', 'contested'] as const;

export class Gateway {
  readonly program: LoadedProgram;
  readonly indices: Indices;
  readonly #shape: Shape;
  readonly #image: Image;
  #revision = 0;
  #table: ForwardingTable;
  #varied = false;

  private constructor(
    program: LoadedProgram,
    of: Shape,
    indices: Indices,
    image: Image,
    table: ForwardingTable,
  ) {
    this.program = program;
    this.#shape = of;
    this.indices = indices;
    this.#image = image;
    this.#table = table;
  }

  /** In a network namespace of its own, with `rules.ts` loaded. */
  static async open(of: Partial<Shape> = {}): Promise<Gateway> {
    return await Gateway.#openIn(await buildNetwork(), { ...shape, ...of });
  }

  /** One without the fast way, in the network of another, with the same secrets. */
  static async openCareful(other: Gateway): Promise<Gateway> {
    const gateway = await Gateway.#openIn(other.indices, other.#shape, { careful: 1 });
    const { flow_seed: seed } = layout.control;
    gateway.#control().setUint32(seed, other.#control().getUint32(seed, true), true);
    return gateway;
  }

  static async #openIn(indices: Indices, of: Shape, settings: Settings = {}): Promise<Gateway> {
    const program = await loadProgram({
      object,
      shape: mapEntries(of),
      settings: { ...settingsOf(of), ...settings },
    });
    fillDevices(program, indices);
    fillVlans(program, indices);
    fillRoutes(program, indices);
    const control = program.memory('control').buffer;
    new Uint8Array(control).set(macBytes(mark), layout.control.mark);
    fillTunnels(program);
    const table = tableOf();
    const image = await openImage(program, of);
    await image.reconcile(table);
    image.publish({ instance, revision: 0, sequence: 0 });
    await image.settled();
    const gateway = new Gateway(program, of, indices, image, table);
    gateway.setGate(true);
    return gateway;
  }

  close(): void {
    this.program.close();
  }

  get table(): ForwardingTable {
    return this.#table;
  }

  /** A frame that arrives on the wire of an interface. */
  receive(frame: Uint8Array, device: DeviceName, program?: string): TestResult {
    const ifindex = this.indices[physicalOf(device)];
    return this.program.testRun({ frame, ifindex, ...(program === undefined ? {} : { program }) });
  }

  send({ packet, device }: Sent, program?: string): TestResult {
    return this.receive(encode(packet), device, program);
  }

  /** Gives the frame that came of a step, if it is one. */
  async take(step: Step, program?: string): Promise<Uint8Array | undefined> {
    if ('packet' in step) return this.send(step, program).frame;
    if ('change' in step) await this.change(step.change);
    else if ('gate' in step) this.setGate(step.gate);
    else this.wait(step.waitSeconds);
    return undefined;
  }

  async change(variation: Variation): Promise<void> {
    this.#varied = true;
    await this.commit(tableOf(variation, this.#table));
  }

  /** Visible to the next packet; resolves after the grace period. */
  async commit(table: ForwardingTable): Promise<void> {
    this.#revision += 1;
    await this.#image.stage(diff(this.#table, table));
    await this.#image.moveFlows();
    this.#image.publish({ instance, revision: this.#revision, sequence: this.#revision });
    await this.#image.settled();
    this.#table = table;
  }

  /** The usual rules again, if they were changed; what flows and next hops are known stays. */
  async restore(): Promise<void> {
    if (this.#varied) await this.commit(tableOf({}, this.#table));
    this.#varied = false;
    this.setGate(true);
  }

  /** The usual rules, and no flow, client or next hop known. */
  async reset(rememberHops: boolean): Promise<void> {
    await this.restore();
    this.rememberHops(rememberHops);
    this.forget();
    const machines = this.#view('machines');
    for (let index = 0; index < this.#shape.machines; index += 1) {
      machines.setBigUint64(index * layout.machine.size + layout.machine.fresh, 0n, true);
    }
    const routes = this.#view('routes');
    for (let at = layout.route.fresh; at < routes.byteLength; at += layout.route.size) {
      routes.setBigUint64(at, 0n, true);
    }
  }

  /** Whether next hops may be remembered: without end (WORD_ALWAYS), or not at all. */
  rememberHops(may: boolean): void {
    this.#control().setUint32(layout.control.hop_cache, may ? 0xffffffff : 0, true);
  }

  /** The flows and clients that another one, which has seen the same frames, knows, and since when. */
  recall(other: Gateway): void {
    for (const map of memories) {
      new Uint8Array(this.program.memory(map).buffer).set(new Uint8Array(other.program.memory(map).buffer));
    }
  }

  /** Flows, clients and fragments. */
  forget(): void {
    for (const map of memories) {
      new Uint8Array(this.program.memory(map).buffer).fill(0);
    }
    const fragments = this.program.elements('fragments');
    for (const key of fragments.keys()) fragments.delete(key);
  }

  setGate(open: boolean): void {
    this.#control().setUint32(layout.control.gate, open ? 1 : 0, true);
  }

  /** Makes everything that is remembered so much older. */
  wait(seconds: number): void {
    const units = Math.ceil((seconds * 1e9) / 2 ** 30);
    const flows = this.#view('flows');
    for (let bucket = 0; bucket < this.#shape.flows; bucket += 1) {
      for (let way = 0; way < layout.flowWays; way += 1) {
        const at = bucket * layout.bucket.size + way * 8;
        const word = flows.getUint32(at, true);
        if (word >>> 24 !== 0) flows.setUint32(at, (word & 0xff000000) | ((word - units) & 0xffffff), true);
      }
    }
    const seen = new Uint16Array(this.program.memory('seen').buffer);
    for (const [index, stamp] of seen.entries()) {
      if (stamp !== 0) seen[index] = (stamp - units) & 0xffff || 1;
    }
  }

  /** Of the rule for this very endpoint. */
  counters(transport: Transport, address: string, port: number): Counters {
    const entry = this.#entry(transport, address, port);
    const counters = this.#image.census.counters(entry);
    if (counters === undefined) throw new Error(`nothing is counted for ${endpointKey(entry.endpoint)}`);
    return counters;
  }

  /** Of a member of the ring behind a balanced frontend's port 80. */
  memberCounters(address: string, member: string): Counters {
    const { target } = this.#entry('tcp', address, 80);
    const rings = [...this.#table.loadBalancers.values()].flatMap((each) => [...each.rings.values()]);
    const ring = rings.find(({ number }) => target.kind === 'balanced' && number === target.ring);
    const counted = ring && this.#image.census.memberCounters(ring);
    const found = ring?.members.find(({ address: its }) => its === ip(member));
    const counters = found && counted?.get(found);
    if (counters === undefined) throw new Error(`nothing is counted for ${member}`);
    return counters;
  }

  #entry(transport: Transport, address: string, port: number): Entry {
    const key = endpointKey({ address: ip(address), transport, port });
    const rules = [...this.#table.loadBalancers.values()].flatMap(({ rules: all }) => [...all.values()]);
    const entry = rules.find(({ entries }) => entries.has(key))?.entries.get(key);
    if (entry === undefined) throw new Error(`there is no rule for ${key}`);
    return entry;
  }

  /** Packets, bytes and flows of each row of `counters`, whoever it belongs to. */
  rows(): BigUint64Array {
    const all = new BigUint64Array(this.program.memory('counters').buffer);
    const words = layout.counter.size / 8;
    const rows = new BigUint64Array(all.length / this.#shape.shards);
    for (const [index, value] of all.entries()) {
      const row = Math.floor(index / (words * this.#shape.shards));
      rows[row * words + (index % words)] = (rows[row * words + (index % words)] ?? 0n) + value;
    }
    return rows;
  }

  /** Counts by reason, in the order of `reasonNames`. */
  reasons(): readonly number[] {
    return this.program.perCpuSums('reasons');
  }

  #control(): DataView {
    return this.#view('control');
  }

  #view(map: string): DataView {
    return new DataView(this.program.memory(map).buffer);
  }
}
