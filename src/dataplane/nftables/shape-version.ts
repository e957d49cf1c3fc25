// What tells this shape of the rulesets from another version's.
import { createHash } from 'node:crypto';
import { floatingText } from './floating-table.ts';
import { additionText } from './on-demand.ts';
import { skeletonText, tableName } from './skeleton.ts';

/** One of each kind. */
const onDemand = ['idle_tcp_60_limited4', 'idle_udp_60', 'allowed4_0', 'allowed6_0'];

/** 32 bits of a hash over their text. */
export const shapeVersion = createHash('sha256')
  .update(skeletonText(tableName))
  .update(additionText(tableName, onDemand))
  .update(floatingText())
  .digest()
  .readUInt32BE();
