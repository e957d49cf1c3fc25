// Tries what the XDP plane needs of BPF, one small piece at a time. Nothing stays: whatever is made is closed again.
import type { BpfFacts, Trial } from '../judge/bpf.ts';
import { errnoText, fixedBuffer, type Libc } from './libc.ts';

const command = { mapCreate: 0, programLoad: 5, infoByFd: 15, btfLoad: 18, linkCreate: 28 } as const;
const ARRAY = 2;
const MMAPABLE = 1 << 10;
const PROGRAM_XDP = 6;
const HAS_FRAGS = 1 << 5;
const ATTACH_XDP = 37;
const GENERIC_MODE = 2;
const loopback = 1;
const EPERM = 1;
const ENOSYS = 38;

/** `r0 = XDP_PASS; exit`. */
const pass = [0x00000002_000000b7n, 0x95n] as const;
/** The same after a compare-and-swap of eight bytes on the stack. */
const compareAndSwap = [
  // r1 = 0; *(u64 *)(r10 - 8) = r1; r0 = 0; r2 = 1; r0 = cmpxchg(r10 - 8, r0, r2)
  0x00000000_000001b7n,
  0x00000000_fff81a7bn,
  0x00000000_000000b7n,
  0x00000001_000002b7n,
  0x000000f1_fff82adbn,
  ...pass,
] as const;
/** The type `int` and nothing else: struct btf_header, struct btf_type with its 32 bits, names. */
const smallBtf = Buffer.concat([
  Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0]),
  Buffer.from([1, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 32, 0, 0, 1]),
  Buffer.from('\0int\0'),
]);

const untried: Trial = { kind: 'untried' };

/** The kernel must be little-endian, as all hosts are that Node has builds for but s390x. */
export function tryBpf(libc: Libc): BpfFacts {
  const plain = array(libc, 0);
  if (plain.kind !== 'works') {
    const rest = { mapped: untried, xdp: untried, frags: untried, jit: untried };
    return { call: plain, ...rest, atomics: untried, btf: untried, link: untried };
  }
  const mapped = array(libc, MMAPABLE);
  const atomics = attempt(libc, () => loadProgram(libc, compareAndSwap, 0));
  const frags = attempt(libc, () => loadProgram(libc, pass, HAS_FRAGS));
  const btf = attempt(libc, () => loadBtf(libc));
  let jit: Trial = untried;
  let link: Trial = untried;
  const xdp = attempt(
    libc,
    () => loadProgram(libc, pass, 0),
    (program) => {
      jit = compiled(libc, program);
      link = libc.inTrialNetwork(() => attempt(libc, () => attach(libc, program))) ?? { kind: 'denied' };
    },
  );
  return { call: plain, mapped, xdp, frags, jit, atomics, btf, link };
}

function array(libc: Libc, flags: number): Trial {
  const attributes = fixedBuffer(128);
  for (const [index, value] of [ARRAY, 4, 8, 1, flags].entries()) attributes.writeUInt32LE(value, index * 4);
  return attempt(libc, () => libc.bpf(command.mapCreate, attributes));
}

function attempt(libc: Libc, make: () => number, use: (descriptor: number) => void = () => {}): Trial {
  const descriptor = make();
  if (descriptor < 0) {
    const errno = libc.errno();
    if (errno === EPERM) return { kind: 'denied' };
    return { kind: 'refused', words: errno === ENOSYS ? 'there is no such system call' : errnoText(errno) };
  }
  try {
    use(descriptor);
  } finally {
    libc.close(descriptor);
  }
  return { kind: 'works' };
}

function loadProgram(libc: Libc, instructions: readonly bigint[], flags: number): number {
  const code = fixedBuffer(instructions.length * 8);
  for (const [index, instruction] of instructions.entries()) code.writeBigUInt64LE(instruction, index * 8);
  const license = fixedBuffer(4);
  license.write('GPL\0');
  const attributes = fixedBuffer(128);
  attributes.writeUInt32LE(PROGRAM_XDP, 0);
  attributes.writeUInt32LE(instructions.length, 4);
  attributes.writeBigUInt64LE(libc.addressOf(code), 8);
  attributes.writeBigUInt64LE(libc.addressOf(license), 16);
  attributes.writeUInt32LE(flags, 44);
  attributes.write('penstock_trial', 48);
  return libc.bpf(command.programLoad, attributes);
}

/** Whether the kernel made machine code of a program that is loaded. */
function compiled(libc: Libc, program: number): Trial {
  const info = fixedBuffer(64);
  const attributes = fixedBuffer(16);
  attributes.writeUInt32LE(program, 0);
  attributes.writeUInt32LE(info.length, 4);
  attributes.writeBigUInt64LE(libc.addressOf(info), 8);
  if (libc.bpf(command.infoByFd, attributes) < 0) return { kind: 'untried' };
  return info.readUInt32LE(16) > 0 ? { kind: 'works' } : { kind: 'refused', words: 'it is interpreted' };
}

function attach(libc: Libc, program: number): number {
  const attributes = fixedBuffer(64);
  for (const [index, value] of [program, loopback, ATTACH_XDP, GENERIC_MODE].entries()) {
    attributes.writeUInt32LE(value, index * 4);
  }
  return libc.bpf(command.linkCreate, attributes);
}

function loadBtf(libc: Libc): number {
  const types = fixedBuffer(smallBtf.length);
  smallBtf.copy(types);
  const attributes = fixedBuffer(32);
  attributes.writeBigUInt64LE(libc.addressOf(types), 0);
  attributes.writeUInt32LE(types.length, 16);
  return libc.bpf(command.btfLoad, attributes);
}
