// Penstock's program with the agent's memory, without an agent: tables are staged and published as the agent does it.
import { memoryOf } from '../../../src/dataplane/xdp/engine.ts';
import { gracePeriod } from '../../../src/dataplane/xdp/kernel/grace.ts';
import { loadProgram } from '../../../src/dataplane/xdp/kernel/load.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import { Image } from '../../../src/dataplane/xdp/memory/image.ts';
import { control } from '../../../src/dataplane/xdp/memory/layout.ts';
import { needsOfChange, plus } from '../../../src/dataplane/xdp/memory/needs.ts';
import { defaultShape, entriesOf } from '../../../src/dataplane/xdp/memory/shape.ts';
import type { Device } from '../../../src/dataplane/xdp/network/devices.ts';
import type { HopRoute } from '../../../src/dataplane/xdp/network/prefix.ts';
import { writeDevices } from '../../../src/dataplane/xdp/network/write-devices.ts';
import { encodeRoutes } from '../../../src/dataplane/xdp/network/write-hops.ts';
import { shippedObject } from '../../../src/dataplane/xdp/object.ts';
import { possibleCpus, settingsOf } from '../../../src/dataplane/xdp/settings.ts';
import type { Change } from '../../../src/forwarding/change.ts';

export interface MachineryOptions {
  /** Flows to have room for; default as the agent's. */
  readonly flows?: number;
  /** More that the maps shall have room for. */
  readonly spare?: Change;
  readonly devices?: readonly Device[];
  /** Next hops that may be remembered; without them, the FIB is asked for each packet. */
  readonly routes?: readonly HopRoute[];
}

/** Whom the program believes without an end, as tests do: see src/dataplane/xdp/network/write-hops.ts. */
const always = 0xffffffff;

/** Path of another object than the one that ships: to compare variants of the program. */
const objectVariable = 'PENSTOCK_BENCH_OBJECT';

export class Machinery implements Disposable {
  readonly program: LoadedProgram;
  readonly image: Image;
  #sequence = 0;

  private constructor(program: LoadedProgram, image: Image) {
    this.program = program;
    this.image = image;
  }

  /** A program that forwards what `table` adds. */
  static async load(table: Change, options: MachineryOptions = {}): Promise<Machinery> {
    const machinery = await Machinery.empty(table, options);
    await machinery.commit(table);
    return machinery;
  }

  /** With room for `table`, which is not there yet. */
  static async empty(table: Change, options: MachineryOptions = {}): Promise<Machinery> {
    const { flows, spare, devices = [], routes } = options;
    const needs =
      spare === undefined ? needsOfChange(table) : plus(needsOfChange(table), needsOfChange(spare));
    const cpus = possibleCpus();
    const shape = defaultShape(needs, flows === undefined ? { cpus } : { cpus, flows });
    const { path, build } = shippedObject();
    const object = process.env[objectVariable] ?? path;
    const program = await loadProgram({
      object,
      shape: entriesOf(shape),
      settings: {
        ...settingsOf(shape, build),
      },
    });
    const memory = memoryOf(program);
    Image.format(memory, 0x1234_5678);
    const image = await Image.attach(memory, { shards: shape.shards, gracePeriod });
    const machinery = new Machinery(program, image);
    writeDevices(program.memory('devices'), devices);
    if (routes !== undefined) machinery.#follow(routes);
    machinery.#word(control.gate, 1);
    return machinery;
  }

  /** Makes a change visible; does not wait until it is settled. */
  async commit(change: Change): Promise<void> {
    await this.image.stage(change);
    this.#sequence += 1;
    this.image.publish({ instance: '0123456789abcdef', revision: this.#sequence, sequence: this.#sequence });
  }

  get file(): number {
    return this.program.programFile('penstock');
  }

  /** Packets that were translated and sent on, by rule. */
  get counted(): number {
    const words = new BigUint64Array(this.program.memory('counters').buffer);
    let packets = 0n;
    for (let at = 0; at < words.length; at += 4) packets += words[at] ?? 0n;
    return Number(packets);
  }

  /** Ends all flows. Only while no packet is under way. */
  forgetFlows(): void {
    for (const map of ['flows', 'seen']) new Uint8Array(this.program.memory(map).buffer).fill(0);
  }

  [Symbol.dispose](): void {
    this.program.close();
  }

  #follow(routes: readonly HopRoute[]): void {
    encodeRoutes(routes).copy(Buffer.from(this.program.memory('routes').buffer));
    this.#word(control.routes, routes.length);
    this.#word(control.hop_cache, always);
  }

  #word(offset: number, value: number): void {
    Atomics.store(new Uint32Array(this.program.memory('control').buffer), offset / 4, value);
  }
}
