// The kernels that Penstock is tested on besides the host's own, and what it promises on each at the least.

/** What has a test in the guest, and must work on a kernel that promises it. */
export type Feature =
  /** Inbound NAT and load balancing by nftables. */
  | 'nftables'
  /** The same by XDP. */
  | 'xdp'
  /** Established flows of nftables bypass its rules. */
  | 'flowtable'
  /** Flows are ended many at once, by a filter (Linux 6.11); elsewhere each by its name. */
  | 'flow-filters';

export interface Kernel {
  /** As `--kernel` and `PENSTOCK_VM` name it. */
  readonly name: string;
  /** Debian's packages of it; their numbers change with every update, and the newest is taken. apt-cache(8) reads this too: POSIX syntax. */
  readonly packages: RegExp;
  /** Where they are. */
  readonly debian: string;
  readonly promises: readonly Feature[];
}

export const kernels: readonly Kernel[] = [
  {
    name: '6.1',
    packages: /^linux-image-6\.1\.0-[0-9]+-amd64$/,
    debian: 'Debian 12',
    promises: ['nftables', 'xdp', 'flowtable'],
  },
  {
    name: '6.12',
    packages: /^linux-image-6\.12\.[0-9]+\+deb1[23]-amd64$/,
    debian: 'Debian 12 or 13',
    promises: ['nftables', 'xdp', 'flowtable', 'flow-filters'],
  },
];

export const defaultKernel = '6.1';

export function findKernel(name: string): Kernel | undefined {
  return kernels.find((kernel) => kernel.name === name);
}
