// Chains, and what they read, that are made when the first rule asks for them: before each small change nft lists all that
// the kernel has, and every chain and set of it costs.
import type { FlowLimit } from '../../forwarding/flow-limits.ts';
import type { Entry } from '../../forwarding/table.ts';
import type { Element } from './element.ts';
import {
  isRangeSet,
  rangeSetAddition,
  rangeSetElement,
  rangeSetRemoval,
  rangeSetsOf,
} from './limit-chains.ts';
import { tableName } from './skeleton.ts';
import { isTimeoutChain, timeoutAddition, timeoutChainsOf, timeoutRemoval } from './timeouts.ts';

/** Those that the elements of entries and limits lead to. */
export function chainsOf(entries: Iterable<Entry>, limits: Iterable<FlowLimit>): ReadonlySet<string> {
  return new Set([...timeoutChainsOf(entries), ...rangeSetsOf(limits)]);
}

export function isOnDemand(chain: string): boolean {
  return isTimeoutChain(chain) || isRangeSet(chain);
}

/** How many rules such a chain has while nobody has touched it. */
export function ruleCountOf(chain: string): number {
  return additionText(tableName, [chain]).split('add rule ').length - 1;
}

/** Elements that come and go with chains. */
export function elementsOf(chains: Iterable<string>): readonly Element[] {
  return [...chains].filter(isRangeSet).map(rangeSetElement);
}

/** One line: a session reads lines. */
export function additionText(table: string, chains: Iterable<string>): string {
  const added = (chain: string): string =>
    isRangeSet(chain) ? rangeSetAddition(table, chain) : timeoutAddition(table, chain);
  return Array.from(chains, added).join('; ');
}

/** Only for chains that no element leads to. */
export function removalText(table: string, chains: Iterable<string>): string {
  const removed = (chain: string): string =>
    isRangeSet(chain) ? rangeSetRemoval(table, chain) : timeoutRemoval(table, chain);
  return Array.from(chains, removed).join('; ');
}
