// What tells this shape of the rulesets from another version's.
import { createHash } from 'node:crypto';
import { floatingText } from './floating-table.ts';
import { skeletonText, tableName } from './skeleton.ts';

/** 32 bits of a hash over their text. */
export const shapeVersion = createHash('sha256')
  .update(skeletonText(tableName))
  .update(floatingText())
  .digest()
  .readUInt32BE();
