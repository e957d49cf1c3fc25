// Waiting until no packet can still be using what was visible before.

import { mapTypes } from './describe.ts';
import { aside, memory } from './foreign.ts';
import { checked } from './kernel-error.ts';
import { libbpf } from './library.ts';

let scratch: { outer: number; inner: number } | undefined;

/**
 * Resolves when every packet that was in a program at the call has left it; 10 to 20 ms, without blocking the event
 * loop. One grace period may stand for any number of changes published before the call. Throws `KernelError`.
 *
 * The kernel does it for us: a change of a map of maps returns only when all running programs have finished
 * (maybe_wait_bpf_programs in kernel/bpf/syscall.c, since 4.20). membarrier(MEMBARRIER_CMD_GLOBAL) also waits for RCU, but
 * is refused under nohz_full, and does not wait on a single CPU, where PREEMPT_RT may yet have interrupted a program.
 */
export async function gracePeriod(): Promise<void> {
  scratch ??= makeScratch();
  const value = memory(4);
  value.writeInt32LE(scratch.inner);
  checked(
    await aside(libbpf().put, scratch.outer, memory(4), value, 0),
    'cannot wait for running BPF programs',
  );
}

/** Both live as long as the process, a few hundred bytes. */
function makeScratch(): NonNullable<typeof scratch> {
  const inner = checked(
    libbpf().createMap(mapTypes.array, 'grace_inner', 4, 4, 1, null),
    'cannot make a BPF map',
  );
  // struct bpf_map_create_opts (bpf/bpf.h): its size first, inner_map_fd at 24.
  const options = memory(48);
  options.writeBigUInt64LE(48n, 0);
  options.writeInt32LE(inner, 24);
  const outer = checked(
    libbpf().createMap(mapTypes.arrayOfMaps, 'grace_outer', 4, 4, 1, options),
    'cannot make a BPF map of maps',
  );
  return { outer, inner };
}
