// The constants that the program is compiled with in the kernel, and the CPUs that it may run on.
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import type { Settings } from './kernel/settings.ts';
import { cellsPerValue } from './memory/layout.ts';
import type { Shape } from './memory/shape.ts';

/** CPUs that the kernel may ever bring up, which may be more than there are. */
export function possibleCpus(): number {
  const last = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().match(/\d+$/)?.[0];
  return Number(last ?? 0) + 1;
}

/** See `bpf/maps.h`. `build` tells which object it is. */
export function settingsOf(shape: Shape, build: number): Settings {
  return {
    frontend_mask: shape.frontends - 1,
    backend_mask: shape.backends - 1,
    address_mask: shape.addresses * cellsPerValue - 1,
    bucket_mask: shape.flows - 1,
    seen_mask: shape.seen - 1,
    counter_shift: Math.log2(shape.shards),
    counters_own: shape.shards >= possibleCpus() ? 1 : 0,
    jiffy_ns: jiffy(),
    build,
  };
}

/** Of the kernel's own clock, in ns; 0 where the kernel does not tell: then the program asks for the time by a call. */
function jiffy(): number {
  const hz = /^CONFIG_HZ=(\d+)$/m.exec(kernelConfiguration())?.[1];
  return hz === undefined ? 0 : 1_000_000_000 / Number(hz);
}

function kernelConfiguration(): string {
  const places = [
    () => gunzipSync(readFileSync('/proc/config.gz')).toString('latin1'),
    () => readFileSync(`/boot/config-${release()}`, 'latin1'),
  ];
  for (const read of places) {
    try {
      return read();
    } catch {
      // Not every kernel has it, nor every host.
    }
  }
  return '';
}
