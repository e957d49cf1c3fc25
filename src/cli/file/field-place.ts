// From the field that a refusal names back to the line of the file that it came from.
import type { FieldPlace } from '../connection.ts';
import { type Declared, locate } from './read.ts';

/** Knows fields such as `put_load_balancers[0].frontends[1].address` of the load balancers, in this order. */
export function fieldPlaces(declared: readonly Declared[]): FieldPlace {
  return (field) => {
    const match = /^(?:changes\.)?(?:put_)?load_balancers\[(?<index>\d+)\]\.?(?<rest>.*)$/.exec(field);
    const one = declared[Number(match?.groups?.index ?? -1)];
    return one === undefined ? undefined : `${one.file}:${locate(one, match?.groups?.rest ?? '')}`;
  };
}
