// Whether the kernel’s BPF can carry the XDP plane.

import type { Code } from '../catalogue.ts';
import { asRoot, type Check, fine, found, type Reading, unknown } from '../check.ts';

/** What the kernel said to a small piece of what the plane needs. */
export type Trial =
  | { readonly kind: 'works' }
  | { readonly kind: 'refused'; readonly words: string }
  | { readonly kind: 'denied' }
  /** Something before it failed already. */
  | { readonly kind: 'untried' };

export interface BpfFacts {
  readonly call: Trial;
  readonly mapped: Trial;
  readonly xdp: Trial;
  readonly frags: Trial;
  readonly jit: Trial;
  readonly atomics: Trial;
  readonly btf: Trial;
  readonly link: Trial;
}

const newer = 'boot Linux 5.15 or later, or run the agent with --dataplane nftables';

const trials: readonly (readonly [keyof BpfFacts, Code, thing: string, remedy: string])[] = [
  [
    'call',
    'BPF_MISSING',
    'the bpf system call',
    'enable CONFIG_BPF_SYSCALL, or run the agent with --dataplane nftables',
  ],
  ['mapped', 'MMAPABLE_ARRAYS_MISSING', 'an array that can be mapped', newer],
  ['xdp', 'XDP_MISSING', 'an XDP program', newer],
  ['frags', 'XDP_FRAGS_MISSING', 'an XDP program for jumbo frames', 'boot Linux 5.18 or later'],
  ['jit', 'BPF_JIT_OFF', 'compiling a program', 'sysctl -w net.core.bpf_jit_enable=1'],
  ['atomics', 'BPF_ATOMICS_MISSING', 'a compare-and-swap', newer],
  ['btf', 'BTF_MISSING', 'BTF', newer],
  ['link', 'XDP_LINK_MISSING', 'a bpf_link to an interface', newer],
];

export function judgeBpf(reading: Reading<BpfFacts>): readonly Check[] {
  if (reading.kind === 'unknown') return [unknown('BPF_MISSING', '', reading)];
  const facts = reading.value;
  return trials.flatMap(([name, code, thing, remedy]) => judgeTrial(facts[name], code, thing, remedy));
}

function judgeTrial(trial: Trial, code: Code, thing: string, remedy: string): readonly Check[] {
  switch (trial.kind) {
    case 'works':
      return [fine(code, '', `the kernel takes ${thing}`)];
    case 'refused':
      return [found(code, '', `the kernel refuses ${thing}: ${trial.words}`, remedy)];
    case 'denied':
      return [unknown(code, '', { reason: `this process may not try ${thing}`, remedy: asRoot })];
    case 'untried':
      return [];
  }
}

/** `version` as the library says it, such as `v1.1`. */
export function judgeLibbpf(
  reading: Reading<{ readonly version?: string; readonly words?: string }>,
): readonly Check[] {
  if (reading.kind === 'unknown') return [unknown('LIBBPF_MISSING', '', reading)];
  const { version, words = '' } = reading.value;
  if (version !== undefined) return [fine('LIBBPF_MISSING', '', `libbpf ${version}`)];
  return [found('LIBBPF_MISSING', '', `libbpf.so.1 cannot be loaded: ${words}`, 'apt-get install libbpf1')];
}

export function judgeBpffs(mounted: Reading<boolean>): readonly Check[] {
  if (mounted.kind === 'unknown') return [unknown('BPFFS_MISSING', '/sys/fs/bpf', mounted)];
  if (mounted.value) return [fine('BPFFS_MISSING', '/sys/fs/bpf', 'the BPF file system is mounted')];
  return [
    found(
      'BPFFS_MISSING',
      '/sys/fs/bpf',
      'the BPF file system is not mounted there; the agent does it when it starts',
      'mount -t bpf bpf /sys/fs/bpf',
    ),
  ];
}
