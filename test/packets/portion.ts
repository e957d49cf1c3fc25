import { slowness } from '../slowness.ts';

/**
 * How much is done of what is a matter of numbers (random frames, floods, commits under the eyes of others): 1 is all, as on
 * real processors; a twentieth in an emulated guest, whose kernel is to be tried, not the chance. `PENSTOCK_PORTION` says
 * another one.
 */
export const portion = Number(process.env.PENSTOCK_PORTION ?? (slowness > 1 ? 0.05 : 1));
