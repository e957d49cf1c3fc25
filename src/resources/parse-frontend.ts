// One frontend of a load balancer.
import type { FrontendDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import { parseMachineAddress } from './machine-address.ts';
import type { Frontend } from './model.ts';
import { parseName } from './names.ts';
import { parseEnum } from './numbers.ts';
import type { Report } from './report.ts';

const ownerships = ['local', 'local', 'external'] as const;

/** Undefined, and reported, when anything in it is wrong. */
export function parseFrontend(draft: FrontendDraft, field: Field, report: Report): Frontend | undefined {
  const name = parseName(draft.name, at(field, 'name'), report);
  const address = parseMachineAddress(draft.address, at(field, 'address'), report);
  const addressOwnership = parseEnum(
    ownerships,
    draft.addressOwnership,
    'address_ownership',
    at(field, 'address_ownership'),
    report,
  );
  if (name === undefined || address === undefined || addressOwnership === undefined) return undefined;
  return { name, address, addressOwnership };
}
