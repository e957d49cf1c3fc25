import { defineConfig } from 'vitest/config';
import { slowness } from './test/slowness.ts';

// unit: anywhere, no privileges. kernel: root and nf_tables, in namespaces of its own. e2e, e2e-xdp: the real agent in a
// lab, on nftables and on XDP. guest: what needs another kernel or network cards, inside of a virtual machine. vm: the
// virtual machines themselves, from outside; machines: several, wired together; vagrant: Vagrant's, and the demo in a
// guest, which take long.

/** All end-to-end tests with an agent whose data plane can be chosen. */
const onEachDataPlane = [
  'test/e2e/bad-input.test.ts',
  'test/e2e/brief.test.ts',
  'test/e2e/brief-health.test.ts',
  'test/e2e/changes.test.ts',
  'test/e2e/cli.test.ts',
  'test/e2e/drain.test.ts',
  'test/e2e/durability.test.ts',
  'test/e2e/floating.test.ts',
  'test/e2e/flows.test.ts',
  'test/e2e/health.test.ts',
  'test/e2e/host.test.ts',
  'test/e2e/idle.test.ts',
  'test/e2e/limits.test.ts',
  'test/e2e/outbound.test.ts',
  'test/e2e/path.test.ts',
  'test/e2e/python.test.ts',
  'test/e2e/requests.test.ts',
  'test/e2e/rules-*.test.ts',
  'test/e2e/steady-load.test.ts',
  'test/e2e/tls.test.ts',
];
/** Those in which flows end, move and go on, with an agent that lets established ones bypass the rules. */
const withFlowtable = ['test/e2e/changes.test.ts', 'test/e2e/durability.test.ts', 'test/e2e/rules-*.test.ts'];
const xdpOnly = ['test/e2e/xdp*.test.ts'];
/** Two gateways side by side: nftables and XDP; nftables twice proves that what differs is not the test's doing. */
const differential = 'test/differential/**/*.test.ts';
/** No test judges by time: these are only limits, after which one is taken to hang. */
const limits = (seconds: number) => ({
  testTimeout: seconds * 1000 * slowness,
  hookTimeout: seconds * 1000 * slowness,
  expect: { poll: { timeout: 1000 * slowness } },
});
/** A lab mostly waits: for timeouts, agents, what must not come. Two files share a processor well, but no emulated one. */
const endToEnd = { ...limits(120), maxWorkers: slowness > 1 ? 1 : 2 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          testTimeout: 5_000 * slowness,
          include: [
            'src/**/*.test.ts',
            'test/architecture/**/*.test.ts',
            'test/invalid/**/*.test.ts',
            'test/vm/**/*.test.ts',
            'test/demo/**/*.test.ts',
            'test/vagrant/**/*.test.ts',
          ],
          exclude: ['src/**/*.kernel.test.ts', 'test/**/*.vm.test.ts', 'test/**/*.machines.test.ts'],
        },
      },
      {
        test: {
          name: 'kernel',
          include: [
            'test/bpf/**/*.kernel.test.ts',
            'src/**/*.kernel.test.ts',
            'test/packets/**/*.kernel.test.ts',
          ],
          ...limits(60),
          fileParallelism: false,
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', differential],
          exclude: xdpOnly,
          provide: { dataplane: 'nftables' },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e-xdp',
          include: [...onEachDataPlane, ...xdpOnly, differential],
          provide: { dataplane: 'xdp' },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'guest',
          include: ['test/guest/**/*.guest.test.ts'],
          setupFiles: ['test/guest/setup.ts'],
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e-flowtable',
          include: withFlowtable,
          setupFiles: ['test/guest/setup.ts'],
          provide: { dataplane: 'nftables', flowtable: 'auto' },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'vm',
          include: ['test/vm/**/*.vm.test.ts'],
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'machines',
          include: ['test/vm/**/*.machines.test.ts'],
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'vagrant',
          include: ['test/vagrant/**/*.vm.test.ts', 'test/demo/**/*.vm.test.ts'],
          // Emulated machines wait for each other's processors.
          maxWorkers: 1,
        },
      },
    ],
  },
});
