// From the limits of rules to the elements that carry them out, all by the limit's number.
import type { LimitChange } from '../../forwarding/change.ts';
import { type FlowLimit, sameNewFlows } from '../../forwarding/flow-limits.ts';
import type { Element, Operation } from './element.ts';
import { rangeSet } from './limit-chains.ts';

/** The sets whose elements count what each kind of limit has refused. */
export const refusalSets = ['refused_client', 'refused_rate', 'refused_concurrent'] as const;

/** All elements of a limit. Some can only be said in text: nft 1.0.6 reads no statements of elements from JSON. */
export function* limitElements(limit: FlowLimit): Generator<Element> {
  yield* counterElements(limit);
  yield* rangeElements(limit);
  yield* rateElements(limit);
  yield* concurrencyElements(limit);
}

/** What has not changed stays, with what the kernel has counted for it. */
export function* limitOperations({ before, after }: LimitChange): Generator<Operation> {
  if (before === undefined || after === undefined || before.family !== after.family) {
    if (before !== undefined) yield* all('delete', limitElements(before));
    if (after !== undefined) yield* all('add', limitElements(after));
    return;
  }
  const [left, right] = [new Set(before.allowed), new Set(after.allowed)];
  yield* all('delete', rangeElements(before, left.difference(right), left.size > 0 && right.size === 0));
  yield* all('add', rangeElements(after, right.difference(left), left.size === 0 && right.size > 0));
  if (!sameNewFlows(before.newFlows, after.newFlows)) {
    yield* all('delete', rateElements(before));
    yield* all('add', rateElements(after));
  }
  if (before.concurrentFlows !== after.concurrentFlows) {
    yield* all('delete', concurrencyElements(before));
    yield* all('add', concurrencyElements(after));
  }
}

function* counterElements({ number }: FlowLimit): Generator<Element> {
  for (const set of refusalSets) yield { set, key: [number] };
}

function* rangeElements(
  { number, family, allowed }: FlowLimit,
  ranges: Iterable<string> = allowed,
  restricts = allowed.length > 0,
): Generator<Element> {
  if (restricts) yield { set: 'restricted', key: [number] };
  for (const range of ranges) yield { set: rangeSet(family, number), key: [number, range] };
}

function* rateElements({ number, newFlows }: FlowLimit): Generator<Element> {
  if (newFlows === undefined) return;
  const { perSecond, burst } = newFlows;
  yield {
    set: 'rate',
    key: [number],
    statement: `limit rate over ${perSecond}/second burst ${burst} packets`,
  };
}

function* concurrencyElements({ number, concurrentFlows }: FlowLimit): Generator<Element> {
  if (concurrentFlows === undefined) return;
  yield { set: 'concurrent', key: [number], statement: `ct count over ${concurrentFlows}` };
}

function* all(verb: Operation['verb'], elements: Iterable<Element>): Generator<Operation> {
  for (const element of elements) yield { verb, element };
}
