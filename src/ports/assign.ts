// Gives frontend ports to machines.
import { Map as PersistentMap } from 'immutable';
import type { ConfigurationChange } from '../resources/change.ts';
import type { LoadBalancerPorts, Ports } from './assignment.ts';
import type { MappingChanges } from './mapping.ts';

/** Nothing given out. */
export const emptyPorts: Ports = PersistentMap<string, LoadBalancerPorts>();

export interface AssignOptions {
  /** Move mappings that a changed range or pin leaves no place, rather than refuse the change. */
  readonly allowRemap: boolean;
  /** Milliseconds since 1970: the `since` of what is given out now. */
  readonly now: number;
}

/** The ports after a change, and what that does to the mappings. Throws a `Refusal` with all offenders. */
export function assignPorts(
  _change: ConfigurationChange,
  ports: Ports,
  _options: AssignOptions,
): { readonly ports: Ports; readonly changes: MappingChanges } {
  return { ports, changes: { assigned: [], released: [], remapped: [] } };
}
