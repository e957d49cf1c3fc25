// The system calls that Node lacks, through koffi: bpf, ioctl, network namespaces, the clock's state.
import { closeSync, openSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const CLONE_NEWNET = 0x40000000;
const SIOCETHTOOL = 0x8946;
/** include/uapi/asm-generic/unistd.h and the tables of the other architectures. */
const bpfCallNumbers: Readonly<Record<string, number>> = {
  x64: 321,
  arm64: 280,
  riscv64: 280,
  loong64: 280,
  s390x: 351,
  ppc64: 361,
};

export interface Libc {
  /** Negative on failure; then `errno` says why. */
  bpf(command: number, attributes: Buffer): number;
  /** Fills `request` with the driver's answer. Negative on failure. */
  ethtool(link: string, request: Buffer): number;
  /** TIME_ERROR (5) when the clock is not synchronised. */
  clockState(): number;
  errno(): number;
  close(descriptor: number): void;
  /** An address that stays valid as long as the buffer, which `fixedBuffer` must have made. */
  addressOf(buffer: Buffer): bigint;
  /** Does `work`, which must not wait, in a network of its own that is gone afterwards. Undefined where that is not allowed. */
  inTrialNetwork<T>(work: () => T): T | undefined;
  /** The same in an existing network namespace. */
  inNetwork<T>(path: string, work: () => T): T | undefined;
}

/** Outside of the heap that is collected, so that it never moves. */
export function fixedBuffer(size: number): Buffer {
  return Buffer.from(new ArrayBuffer(size));
}

/** Throws where koffi has no build for the platform. */
export async function openLibc(): Promise<Libc> {
  // Only now, so that the caller can say so.
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const syscall = libc.func('long syscall(long, int, void *, unsigned int)');
  const socket = libc.func('int socket(int, int, int)');
  const ioctl = libc.func('int ioctl(int, unsigned long, void *)');
  const unshare = libc.func('int unshare(int)');
  const setns = libc.func('int setns(int, int)');
  const adjtimex = libc.func('int adjtimex(void *)');
  const bpfCall = bpfCallNumbers[process.arch];

  const goHome = (home: number): void => {
    if (setns(home, CLONE_NEWNET) !== 0) throw new Error('the way back to the own network is barred');
  };
  const inOther = <T>(enter: () => boolean, work: () => T): T | undefined => {
    // Of the thread: the others of this process stay where they are.
    const home = openSync('/proc/thread-self/ns/net', 'r');
    try {
      if (!enter()) return undefined;
      try {
        return work();
      } finally {
        goHome(home);
      }
    } finally {
      closeSync(home);
    }
  };

  return {
    bpf(command, attributes) {
      if (bpfCall === undefined) throw new Error(`the bpf system call of ${process.arch} is not known`);
      return Number(syscall(bpfCall, command, attributes, attributes.length));
    },
    ethtool(link, request) {
      const descriptor: number = socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
      if (descriptor < 0) return -1;
      // struct ifreq: the name in 16 bytes, then a pointer.
      const ifreq = fixedBuffer(40);
      ifreq.write(link.slice(0, 15), 'latin1');
      new DataView(ifreq.buffer).setBigUint64(16, koffi.address(request), true);
      const result: number = ioctl(descriptor, SIOCETHTOOL, ifreq);
      const errno = koffi.errno();
      closeSync(descriptor);
      koffi.errno(errno);
      return result;
    },
    clockState: () => adjtimex(fixedBuffer(512)),
    errno: () => koffi.errno(),
    close: (descriptor) => closeSync(descriptor),
    addressOf: (buffer) => koffi.address(buffer),
    inTrialNetwork: (work) => inOther(() => unshare(CLONE_NEWNET) === 0, work),
    inNetwork(path, work) {
      const other = openSync(path, 'r');
      try {
        return inOther(() => setns(other, CLONE_NEWNET) === 0, work);
      } finally {
        closeSync(other);
      }
    },
  };
}

/** `invalid argument (EINVAL)`. */
export function errnoText(errno: number): string {
  const known = getSystemErrorMap().get(-errno);
  return known === undefined ? `error ${errno}` : `${known[1]} (${known[0]})`;
}
