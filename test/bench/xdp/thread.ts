// Where the calling thread is: its network namespace and its core. For calls that return before anything else runs.
import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const setns = libc.func('int setns(int, int)');
const getAffinity = libc.func('int sched_getaffinity(int, size_t, _Out_ uint64_t *)');
const setAffinity = libc.func('int sched_setaffinity(int, size_t, const uint64_t *)');

const CLONE_NEWNET = 0x4000_0000;
/** Of the first 64 cores; a machine with more is measured on one of these. */
const maskSize = 8;

/** Runs `work` in a network namespace, given as a path, on the last core; both are as before afterwards. */
export function inside<Result>(namespace: string, work: () => Result): Result {
  const here = openSync('/proc/thread-self/ns/net', 'r');
  const there = openSync(namespace, 'r');
  const cores = [0n];
  getAffinity(0, maskSize, cores);
  try {
    enter(there);
    const highest = BigInt.asUintN(64, 1n << BigInt((cores[0] ?? 1n).toString(2).length - 1));
    setAffinity(0, maskSize, [highest]);
    return work();
  } finally {
    enter(here);
    setAffinity(0, maskSize, cores);
    closeSync(there);
    closeSync(here);
  }
}

function enter(descriptor: number): void {
  if (setns(descriptor, CLONE_NEWNET) < 0)
    throw new Error(`cannot enter a namespace: errno ${koffi.errno()}`);
}
