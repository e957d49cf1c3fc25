// Which load balancers share a frontend address: only those can claim one another's ports.
import { Map as PersistentMap } from 'immutable';
import type { IpAddress } from './address.ts';
import type { Configuration, LoadBalancer } from './model.ts';

/** Names of load balancers by frontend address. */
export type AddressIndex = PersistentMap<IpAddress, readonly string[]>;

// Derived from the configuration alone, so remembering it changes no answer; a change derives its index from the last one.
const remembered = new WeakMap<Configuration, AddressIndex>();

/** Costs something only for a configuration that did not come out of a change, such as one that was just restored. */
export function addressIndexOf(configuration: Configuration): AddressIndex {
  const known = remembered.get(configuration);
  if (known !== undefined) return known;
  const index = PersistentMap<IpAddress, readonly string[]>().withMutations((entries) => {
    for (const loadBalancer of configuration.values()) enter(entries, loadBalancer);
  });
  remembered.set(configuration, index);
  return index;
}

/** Derives the index of `after` from that of `before`, given all load balancers that differ. */
export function carryAddressIndex(
  before: Configuration,
  after: Configuration,
  changed: Iterable<{ readonly before?: LoadBalancer; readonly after?: LoadBalancer }>,
): void {
  const index = addressIndexOf(before).withMutations((entries) => {
    for (const change of changed) {
      if (change.before?.frontends === change.after?.frontends) continue;
      if (change.before !== undefined) leave(entries, change.before);
      if (change.after !== undefined) enter(entries, change.after);
    }
  });
  remembered.set(after, index);
}

function enter(index: AddressIndex, { name, frontends }: LoadBalancer): void {
  for (const { address } of frontends) index.set(address, [...index.get(address, []), name]);
}

function leave(index: AddressIndex, { name, frontends }: LoadBalancer): void {
  for (const { address } of frontends) {
    const others = index.get(address, []).filter((other) => other !== name);
    if (others.length === 0) index.delete(address);
    else index.set(address, others);
  }
}
