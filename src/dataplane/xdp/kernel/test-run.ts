// One frame through a loaded program, without an interface (BPF_PROG_TEST_RUN).
import { koffi, memory } from './foreign.ts';
import { checked } from './kernel-error.ts';
import { libbpf } from './library.ts';

/** enum xdp_action, in its order. */
export const xdpActions = ['XDP_ABORTED', 'XDP_DROP', 'XDP_PASS', 'XDP_TX', 'XDP_REDIRECT'] as const;
export type XdpAction = (typeof xdpActions)[number];

export interface TestRun {
  /** With its Ethernet header, 14 bytes at least. What is behind about 3,500 bytes only the frags program gets at. */
  readonly frame: Uint8Array;
  /**
   * What the program sees as the receiving interface; one of the calling thread's network namespace, or the kernel refuses
   * (ENODEV). Unless given, the kernel says `lo`, 1.
   */
  readonly ifindex?: number;
  /** The program starts every time from what the run before has left of the frame. 1 unless given. */
  readonly repeat?: number;
}

export interface TestResult {
  readonly verdict: XdpAction;
  readonly frame: Buffer;
  /** Mean time of one run, in nanoseconds; whole numbers, as the kernel gives it. */
  readonly duration: number;
}

const longest = 65_536;
/** struct bpf_test_run_opts (bpf/bpf.h). */
const optionBytes = 80;
/** struct xdp_md (linux/bpf.h). */
const contextBytes = 24;

let scratch: { options: Buffer; context: Buffer; input: Buffer; output: Buffer } | undefined;

/**
 * Blocks for `repeat` runs; one takes about 2 µs with everything around it. Runs on the calling thread, whose network
 * namespace is the program's. Throws `KernelError`.
 */
export function testRun(program: number, { frame, ifindex, repeat = 1 }: TestRun): TestResult {
  scratch ??= makeScratch();
  const { options, context, input, output } = scratch;
  if (frame.length > longest) throw new RangeError(`a frame of ${frame.length} bytes is too long`);
  input.set(frame);
  options.writeUInt32LE(frame.length, 24);
  options.writeUInt32LE(longest, 28);
  context.writeUInt32LE(frame.length, 4);
  context.writeUInt32LE(ifindex ?? 0, 12);
  options.writeUInt32LE(ifindex === undefined ? 0 : contextBytes, 48);
  options.writeBigUInt64LE(ifindex === undefined ? 0n : koffi().address(context), 32);
  options.writeUInt32LE(repeat, 60);
  checked(libbpf().testRun(program, options), 'the kernel refuses the test run');
  const verdict = xdpActions[options.readUInt32LE(56)];
  if (verdict === undefined) throw new Error(`the program returned ${options.readUInt32LE(56)}`);
  const length = options.readUInt32LE(28);
  return { verdict, frame: Buffer.from(output.subarray(0, length)), duration: options.readUInt32LE(64) };
}

function makeScratch(): NonNullable<typeof scratch> {
  const made = {
    options: memory(optionBytes),
    context: memory(contextBytes),
    input: memory(longest),
    output: memory(longest),
  };
  made.options.writeBigUInt64LE(BigInt(optionBytes), 0);
  made.options.writeBigUInt64LE(koffi().address(made.input), 8);
  made.options.writeBigUInt64LE(koffi().address(made.output), 16);
  return made;
}
