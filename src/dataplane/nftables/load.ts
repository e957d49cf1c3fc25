// The three ways to bring a whole table into the kernel, by what is there before.
import { type BulkFile, createBulkFile, runNft } from './bulk.ts';
import { type Element, jsonCommands, jsonTable, type Operation, textCommands, textTable } from './element.ts';
import { protocolNumber } from './encode.ts';
import { floatingRemovalText, floatingSets, isFloatingSet } from './floating-table.ts';
import { isRangeSet } from './limit-chains.ts';
import { additionText, elementsOf } from './on-demand.ts';
import type { Outcome } from './session.ts';
import { setDefinitions, skeletonText, tableName } from './skeleton.ts';

export interface LoadContext {
  readonly scratch: string;
  /** Runs a small transaction. */
  run(operations: Iterable<Operation>): Promise<Outcome>;
  /** All of the table's; read twice where two programs share the work. */
  elements(): Iterable<Element>;
  /** `text` where there are elements that JSON cannot say. */
  readonly language: 'json' | 'text';
  /** Chains on demand that the elements lead to, and those that stand besides. */
  readonly chains: ReadonlySet<string>;
  /** Completes the skeleton by what nft cannot say. */
  complete(): Outcome;
  /** The tables for floating addresses stand as they should: their sets are emptied with the others. */
  readonly floating: boolean;
  /** What becomes of these tables else, in the transaction that has their elements; only with `text`. Empty: nothing. */
  readonly floatingText: string;
  /** The element that says that the load is complete. */
  readonly stamp: Element;
}

const openGate: readonly Element[] = Object.values(protocolNumber).map((number) => ({
  set: 'gate',
  key: [number],
}));

/**
 * Where there is no table yet: behind a closed gate two programs fill the sets at the same time, and one small
 * transaction opens the gate and stamps. Nothing is forwarded before that, and nothing is left if any of it fails.
 */
export async function loadFresh(context: LoadContext): Promise<Outcome> {
  const { stamp } = context;
  const skeleton = await runNft(['-f', '-'], wholeSkeleton(context));
  if (skeleton.kind !== 'done') return skeleton;
  const completed = context.complete();
  const outcome =
    completed.kind === 'done'
      ? await fill(context, () => context.run(additions([...openGate, stamp])))
      : completed;
  if (outcome.kind === 'refused') {
    await runNft(['delete', 'table', 'inet', tableName]);
    await runNft(['-f', '-'], floatingRemovalText());
  }
  return outcome;
}

/**
 * Where a table stands that forwards nothing yet: nobody misses it while it is made anew, full, as above. Where that
 * fails, the empty one is put back.
 */
export async function replaceEmpty(context: LoadContext, stampBefore: Element): Promise<Outcome> {
  const removed = await runNft(['delete', 'table', 'inet', tableName]);
  if (removed.kind !== 'done') return removed;
  const outcome = await loadFresh(context);
  if (outcome.kind === 'refused') {
    const empty = { elements: () => [], chains: new Set<string>(), floatingText: '' };
    await loadFresh({ ...context, ...empty, stamp: stampBefore });
  }
  return outcome;
}

async function fill(context: LoadContext, finish: () => Promise<Outcome>): Promise<Outcome> {
  const { elements } = context;
  const first = await writeHalf(context, bySet(elements(), guarding), '');
  if ('kind' in first) return first;
  // The first program works while the second's file is written.
  const running = first.run();
  const second = await writeHalf(
    context,
    bySet(elements(), (set) => !guarding(set)),
    context.floatingText,
  );
  const outcomes = await Promise.all([running, 'kind' in second ? second : second.run()]);
  // A program that died has at most put elements behind the gate.
  const failed = outcomes.find(({ kind }) => kind !== 'done');
  if (failed !== undefined && failed.kind !== 'done') return { kind: 'refused', log: failed.log };
  return finish();
}

async function writeHalf(
  { scratch, language }: LoadContext,
  elements: Iterable<Element>,
  before: string,
): Promise<BulkFile | Outcome> {
  const file = await createBulkFile(scratch, language);
  try {
    await file.write([before]);
    await file.write(language === 'json' ? jsonFile(elements) : textCommands(additions(elements)));
    return file;
  } catch (error) {
    await file.discard();
    return { kind: 'refused', log: String(error) };
  }
}

function wholeSkeleton({ chains }: LoadContext): string {
  return `${skeletonText(tableName)}${additionText(tableName, chains)}\n`;
}

/**
 * Where this version's table stands: its sets are emptied and filled in one transaction, and flows go on. The chains on
 * demand must stand.
 */
export async function replaceContent(context: LoadContext): Promise<Outcome> {
  const { scratch, elements, stamp, language, chains, floating, floatingText } = context;
  const ranges = [...chains].filter(isRangeSet).map((name) => ({ kind: 'set', name }));
  const content = () => everything(chained(elementsOf(chains), elements()), stamp);
  const flushed = [
    ...setDefinitions,
    ...ranges,
    ...(floating ? ([4, 6] as const).flatMap(floatingSets) : []),
  ];
  const file = await createBulkFile(scratch, language);
  try {
    if (language === 'text') {
      await file.write([floatingText]);
      await file.write(flushed.map(({ kind, name }) => `flush ${kind} ${textTable(name)} ${name}\n`));
      await file.write(textCommands(additions(content())));
      return await file.run();
    }
    await file.write(['{"nftables":[']);
    await file.write(
      flushed.map(({ kind, name }) => `{"flush":{"${kind}":{${jsonTable(name)},"name":"${name}"}}},\n`),
    );
    await file.write(jsonCommands(additions(content())));
    await file.write([']}']);
  } catch (error) {
    await file.discard();
    return { kind: 'refused', log: String(error) };
  }
  return file.run();
}

/**
 * Where the table has another shape: it is replaced as a whole, in one transaction. What completes the skeleton comes right
 * after; until then the first packets of outbound flows of IPv6 are dropped.
 */
export async function replaceTable(context: LoadContext): Promise<Outcome> {
  const { scratch, elements, complete, stamp, floatingText } = context;
  const file = await createBulkFile(scratch, 'text');
  try {
    await file.write([`delete table inet ${tableName}\n`, wholeSkeleton(context), floatingText]);
    await file.write(textCommands(additions(everything(elements(), stamp))));
  } catch (error) {
    await file.discard();
    return { kind: 'refused', log: String(error) };
  }
  const outcome = await file.run();
  return outcome.kind === 'done' ? complete() : outcome;
}

/**
 * The sets that the guard reads and the addresses of backends: about half of all elements. None of floating addresses, whose
 * tables are made with the others.
 */
function guarding(set: string): boolean {
  if (isFloatingSet(set)) return false;
  return set.includes('_live') || set.startsWith('backends') || set.startsWith('masq');
}

function* chained<T>(...parts: readonly Iterable<T>[]): Generator<T> {
  for (const part of parts) yield* part;
}

function* everything(elements: Iterable<Element>, stamp: Element): Generator<Element> {
  yield stamp;
  yield* openGate;
  yield* bySet(elements, () => true);
}

/** Elements of up to `batch` neighbours sorted by set, so that a command holds many of them. */
function* bySet(elements: Iterable<Element>, wanted: (set: string) => boolean): Generator<Element> {
  const batch = 5000;
  const waiting = new Map<string, Element[]>();
  for (const element of elements) {
    if (!wanted(element.set)) continue;
    const list = waiting.get(element.set);
    if (list === undefined) waiting.set(element.set, [element]);
    else if (list.length < batch) list.push(element);
    else {
      yield* list;
      waiting.set(element.set, [element]);
    }
  }
  for (const list of waiting.values()) yield* list;
}

function* jsonFile(elements: Iterable<Element>): Generator<string> {
  yield '{"nftables":[';
  yield* jsonCommands(additions(elements));
  yield ']}';
}

function* additions(elements: Iterable<Element>): Generator<Operation> {
  for (const element of elements) yield { verb: 'add', element };
}
