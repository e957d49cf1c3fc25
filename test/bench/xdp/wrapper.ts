// Sends packets of the bench's choice through XDP programs, or out by a device: programs/wrapper.bpf.c from this side.
import { koffi, memory } from '../../../src/dataplane/xdp/kernel/foreign.ts';
import { checked } from '../../../src/dataplane/xdp/kernel/kernel-error.ts';
import { libbpf } from '../../../src/dataplane/xdp/kernel/library.ts';
import { loadProgram } from '../../../src/dataplane/xdp/kernel/load.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import { type TestResult, testRun } from '../../../src/dataplane/xdp/kernel/test-run.ts';
import { type Frame, flowBytes, frameOf, headerSum } from './frame.ts';
import { inside } from './thread.ts';

/** Offsets in `struct plan`, which begins with the headers. */
const planAt = { program: 80, flows: 84, next: 88, device: 92, checksum: 96 } as const;
const places = 32;
/** BPF_F_TEST_XDP_LIVE_FRAMES: what the program says is done with the frames (Linux 5.18). */
const liveFrames = 2;
/** Packets between two chances for the receiver to work them off; a veth's queue holds 256. */
const liveBatch = 64;
/** struct bpf_test_run_opts (bpf/bpf.h). */
const optionBytes = 80;
const longestList = 2 ** 20;

/** What runs in the place of a program: the wrapper alone. */
export const nothing = 0;
const transmit = 1;

export class Wrapper implements Disposable {
  readonly #wrapper: LoadedProgram;
  readonly #plan: DataView;
  readonly #flows: Uint8Array;
  readonly #namespace: string;
  #device: number;
  #frame: Uint8Array = new Uint8Array();
  #entry = 'ipv4';
  #programs = 0;

  private constructor(wrapper: LoadedProgram, namespace: string, device: number) {
    this.#wrapper = wrapper;
    this.#plan = new DataView(wrapper.memory('plans').buffer);
    this.#flows = new Uint8Array(wrapper.memory('flows').buffer);
    this.#namespace = namespace;
    this.#device = device;
  }

  /** `object` is the compiled wrapper. Packets come in by `device`, an interface's index in `namespace`, a path. */
  static async load(object: string, namespace: string, device: number): Promise<Wrapper> {
    const wrapper = await loadProgram({ object, shape: { flows: longestList }, settings: {} });
    const made = new Wrapper(wrapper, namespace, device);
    made.add(wrapper.programFile('nothing'));
    made.add(wrapper.programFile('transmit'));
    return made;
  }

  /** Takes in a program, by its file descriptor; the answer stands for it in `run`. */
  add(program: number): number {
    if (this.#programs === places) throw new RangeError('too many programs');
    const bytes = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
    this.#wrapper.elements('programs').put(bytes(this.#programs), bytes(program));
    this.#programs += 1;
    return this.#programs - 1;
  }

  /**
   * What the following runs send: flows of `encodeFlows` in this order, again and again; at most 2^20. They come in by
   * `device`, unless it is the one of `load`.
   */
  list(frame: Frame, flows: Uint8Array, device: number = this.#device): void {
    this.#frame = frameOf(frame);
    this.#entry = frame.family === 4 ? 'ipv4' : 'ipv6';
    this.#device = device;
    new Uint8Array(this.#plan.buffer).set(this.#frame.subarray(0, planAt.program));
    this.#flows.set(flows);
    this.#plan.setUint32(planAt.flows, flows.length / flowBytes, true);
    this.#plan.setUint32(planAt.checksum, headerSum(this.#frame), true);
    this.rewind();
  }

  /** The next packet is the list's first. */
  rewind(): void {
    this.#plan.setUint32(planAt.next, 0, true);
  }

  /** Sends so many packets. The duration is the wrapper's and the program's together, the verdict the last packet's. */
  run(packets: number, program: number = nothing): TestResult {
    this.#plan.setUint32(planAt.program, program, true);
    const run = { frame: this.#frame, ifindex: this.#device, repeat: packets };
    return inside(this.#namespace, () => testRun(this.#wrapper.programFile(this.#entry), run));
  }

  /** Puts so many packets on the wire behind `device`. They are worked off, as far as one core does it, when this returns. */
  transmit(packets: number): void {
    this.#plan.setUint32(planAt.program, transmit, true);
    this.#plan.setUint32(planAt.device, this.#device, true);
    const frame = memory(this.#frame.length);
    frame.set(this.#frame);
    const options = memory(optionBytes);
    options.writeBigUInt64LE(BigInt(optionBytes), 0);
    options.writeBigUInt64LE(koffi().address(frame), 8);
    options.writeUInt32LE(frame.length, 24);
    options.writeUInt32LE(packets, 60);
    options.writeUInt32LE(liveFrames, 68);
    options.writeUInt32LE(liveBatch, 76);
    const file = this.#wrapper.programFile(this.#entry);
    checked(
      inside(this.#namespace, () => libbpf().testRun(file, options)),
      'frames cannot be sent',
    );
  }

  /** A program that counts and drops what has been transmitted. */
  get sink(): number {
    return this.#wrapper.programFile('sink');
  }

  /** How many packets the sink has had. */
  get arrived(): number {
    return Number(new BigUint64Array(this.#wrapper.memory('arrived').buffer)[0]);
  }

  /** One packet of the list's beginning, as the program leaves it. */
  first(program: number): TestResult {
    this.rewind();
    return this.run(1, program);
  }

  [Symbol.dispose](): void {
    this.#wrapper.close();
  }
}
