// How often each address is used, kept up by what a change adds and takes away.
import type { Map as PersistentMap } from 'immutable';
import type { IpAddress } from '../resources/address.ts';
import { entriesThatDiffer, ringsThatDiffer } from './differences.ts';
import type { CompiledLoadBalancer, Entry, Ring } from './table.ts';

/** Changes of the number of uses, by address; 0 where they cancel out. */
export type Uses = Map<IpAddress, number>;

/** Notes what another version of a load balancer adds and takes away. */
export function noteUses(
  before: CompiledLoadBalancer | undefined,
  after: CompiledLoadBalancer | undefined,
  backends: Uses,
  localAddresses: Uses,
): void {
  for (const change of entriesThatDiffer(before, after)) {
    noteEntry(backends, change.before, -1);
    noteEntry(backends, change.after, 1);
  }
  for (const change of ringsThatDiffer(before, after)) {
    noteRing(backends, change.before, -1);
    noteRing(backends, change.after, 1);
  }
  if (before?.localAddresses === after?.localAddresses) return;
  for (const address of before?.localAddresses ?? []) note(localAddresses, address, -1);
  for (const address of after?.localAddresses ?? []) note(localAddresses, address, 1);
}

/** The sums; addresses that are not used any more go. */
export function withUses(
  total: PersistentMap<IpAddress, number>,
  uses: Uses,
): PersistentMap<IpAddress, number> {
  return total.withMutations((sums) => {
    for (const [address, change] of uses) {
      const sum = (sums.get(address) ?? 0) + change;
      if (sum === 0) sums.delete(address);
      else if (change !== 0) sums.set(address, sum);
    }
  });
}

function noteEntry(uses: Uses, entry: Entry | undefined, change: number): void {
  if (entry?.target.kind === 'nat') note(uses, entry.target.address, change);
}

function noteRing(uses: Uses, ring: Ring | undefined, change: number): void {
  for (const { address } of ring?.members ?? []) note(uses, address, change);
}

function note(uses: Uses, address: IpAddress, change: number): void {
  uses.set(address, (uses.get(address) ?? 0) + change);
}
