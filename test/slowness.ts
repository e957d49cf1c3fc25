/**
 * By how much time limits of tests and of the lab are stretched: the guests of `scripts/vm` compute ten times slower than
 * their host. The environment says it to the programs that tests start, and may say more for a slow machine.
 */
export const slowness = Number(process.env.PENSTOCK_SLOWNESS ?? (process.env.PENSTOCK_VM ? 5 : 1));

// Not where nothing is stretched: a guest that this process starts finds out by itself.
if (slowness !== 1) process.env.PENSTOCK_SLOWNESS = String(slowness);
