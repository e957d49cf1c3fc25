// Where two versions of a load balancer differ; only rules and rings that are not the same object are read.
import { type EntryDifference, entryDifferences } from './entries.ts';
import type { CompiledLoadBalancer, Ring } from './table.ts';

export interface RingDifference {
  /** By `ringName`. */
  readonly name: string;
  readonly before?: Ring | undefined;
  readonly after?: Ring | undefined;
}

/** Differences in the entries of all rules. An endpoint that moves from rule to rule goes in one and comes in another. */
export function* entriesThatDiffer(
  before: CompiledLoadBalancer | undefined,
  after: CompiledLoadBalancer | undefined,
): Generator<EntryDifference, void, undefined> {
  for (const [left, right] of valuesThatDiffer(before?.rules, after?.rules)) {
    yield* entryDifferences(left?.entries, right?.entries);
  }
}

export function* ringsThatDiffer(
  before: CompiledLoadBalancer | undefined,
  after: CompiledLoadBalancer | undefined,
): Generator<RingDifference, void, undefined> {
  for (const [left, right, name] of valuesThatDiffer(before?.rings, after?.rings)) {
    yield { name, before: left, after: right };
  }
}

type Pair<V> = readonly [before: V | undefined, after: V | undefined, key: string];

/** Values of two maps that are not the same object. */
export function* valuesThatDiffer<V>(
  before: ReadonlyMap<string, V> | undefined,
  after: ReadonlyMap<string, V> | undefined,
): Generator<Pair<V>, void, undefined> {
  if (before === after) return;
  for (const [key, value] of before ?? []) {
    const other = after?.get(key);
    if (other !== value) yield [value, other, key];
  }
  for (const [key, value] of after ?? []) {
    if (before?.has(key) !== true) yield [undefined, value, key];
  }
}
