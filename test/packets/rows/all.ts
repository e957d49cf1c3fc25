// The tables, by what they are about.
import { balancing } from './balanced.ts';
import { elsewhere } from './elsewhere.ts';
import { errors } from './errors.ts';
import { floating } from './floating.ts';
import { fragments } from './fragments.ts';
import { direct, natBack } from './nat-back.ts';
import { checksums, hops, natInward } from './nat-inward.ts';
import type { Row } from './row.ts';
import { tracked } from './tracked.ts';
import { strangers, vlans } from './wires.ts';

export const tables: Readonly<Record<string, readonly Row[]>> = {
  'NAT, inward': natInward,
  checksums,
  'what may go on, and where to': hops,
  'NAT, way back': natBack,
  'past the frontend': direct,
  VLANs: vlans,
  'not ours': strangers,
  'leads elsewhere': elsewhere,
  fragments,
  'ICMP errors': errors,
  balanced: balancing,
  tracked,
  'the destination stays': floating,
};

/** Those that translate, or leave alone: what stays and what is put within another packet never takes the fast way. */
export const allRows: readonly Row[] = Object.values(tables)
  .filter((rows) => rows !== floating)
  .flat();
