// What of the tests runs in guests, and how.
import type { Feature } from './kernels.ts';
import { nicSuites } from './nic-suites.ts';

export interface Suite {
  readonly name: string;
  /** It runs on kernels that promise all of these. */
  readonly needs: readonly Feature[];
  /** Projects of vitest.config.ts. */
  readonly projects: readonly string[];
  /** Parts of paths, as vitest takes them. */
  readonly files: readonly string[];
  readonly nics?: number;
  /** Queue pairs of each card. */
  readonly queues?: number;
  /** More arguments for QEMU. */
  readonly qemu?: readonly string[];
  /** Default 1: beside others a guest has no more of its host, and emulated processors wait for each other. */
  readonly cpus?: number;
  /** In MiB. */
  readonly memory?: number;
  /** Seconds that the guest gets; about four times what it takes on an emulated processor. */
  readonly timeout: number;
}

const nftables: Suite = {
  name: 'nftables',
  needs: ['nftables'],
  projects: ['kernel'],
  files: ['src/dataplane/conntrack/', 'src/dataplane/nftables/'],
  timeout: 3600,
};
const xdp: Suite = {
  name: 'xdp',
  needs: ['xdp'],
  projects: ['kernel'],
  files: ['src/dataplane/xdp/'],
  timeout: 1800,
};
/** Frames through the XDP program. Not the random ones and the floods: their number is for real processors. */
const packets: Suite = {
  name: 'packets',
  needs: ['xdp'],
  projects: ['kernel'],
  files: ['careful', 'counters', 'cut', 'remembered', 'rows', 'wires'].map((name) => `test/packets/${name}.`),
  timeout: 1800,
};
/** Of the end-to-end tests those of which a kernel has its part, and that start an agent once: in a guest it takes a minute. */
const e2e: Suite = {
  name: 'e2e',
  needs: ['nftables'],
  projects: ['e2e'],
  files: ['brief', 'brief-health', 'rules-nat', 'rules-balanced', 'floating'].map(
    (name) => `test/e2e/${name}.`,
  ),
  timeout: 2400,
};
const e2eXdp: Suite = { ...e2e, name: 'e2e-xdp', needs: ['xdp'], projects: ['e2e-xdp'] };
/** What bypasses the rules, and one agent under whose flows everything changes. */
const flowtable: Suite = {
  name: 'flowtable',
  needs: ['nftables', 'flowtable'],
  projects: ['guest', 'e2e-flowtable'],
  files: ['test/guest/flowtable/', 'test/e2e/changes.'],
  timeout: 2400,
};

/** VLANs and bonds, on both data planes. */
const links: Suite = {
  name: 'links',
  needs: ['nftables', 'xdp'],
  projects: ['guest'],
  files: ['test/guest/links/vlan.', 'test/guest/links/bond.'],
  timeout: 2400,
};
const tunnels: Suite = { ...links, name: 'tunnels', files: ['test/guest/links/tunnel.'] };

/** Everything. */
export const longForm: readonly Suite[] = [
  nftables,
  xdp,
  packets,
  e2e,
  e2eXdp,
  flowtable,
  links,
  tunnels,
  ...nicSuites,
];

/** One guest for each kernel: both planes load, forward and come back. */
export const shortForm: readonly Suite[] = [
  {
    name: 'short',
    needs: ['nftables', 'xdp'],
    projects: ['e2e', 'e2e-xdp'],
    files: ['test/e2e/brief.'],
    timeout: 900,
  },
];
