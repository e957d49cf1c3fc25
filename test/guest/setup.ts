// These tests change the machine that they run on, and need kernel features that the host may lack.
if (process.env.PENSTOCK_VM === undefined) {
  throw new Error('This test runs in a virtual machine: scripts/vm run -- vitest run --project guest');
}
