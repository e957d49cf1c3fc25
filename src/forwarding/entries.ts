// The entries of one rule as a persistent map: a rule of 65,534 ports gains a member by copying one page, and two versions
// of it are compared by looking at the pages that differ only.
import { type Entry, endpointKey } from './table.ts';

/** What differs between two versions of a rule: one side is absent where the endpoint appears or goes. */
export interface EntryDifference {
  readonly before?: Entry | undefined;
  readonly after?: Entry | undefined;
}

type Page = readonly (Entry | undefined)[];

const pageSize = 128;

/** An immutable map from `endpointKey` to entry; all endpoints have one address. Read in order of page, then port. */
export class Entries implements ReadonlyMap<string, Entry> {
  static readonly empty: Entries = new Entries('', new Map(), 0);

  readonly size: number;
  readonly #prefix: string;
  readonly #pages: ReadonlyMap<number, Page>;

  private constructor(prefix: string, pages: ReadonlyMap<number, Page>, size: number) {
    this.#prefix = prefix;
    this.#pages = pages;
    this.size = size;
  }

  /** Without the endpoints of `removed`, then with `added`. Entries must share one address, also with those present. */
  with(removed: Iterable<Entry>, added: Iterable<Entry>): Entries {
    let size = this.size;
    let prefix = this.#prefix;
    const pages = new Map(this.#pages);
    const fresh = new Map<number, (Entry | undefined)[]>();
    const put = (at: number, entry: Entry | undefined): void => {
      const number = Math.floor(at / pageSize);
      let page = fresh.get(number);
      if (page === undefined) {
        page = [...(pages.get(number) ?? new Array<Entry | undefined>(pageSize).fill(undefined))];
        fresh.set(number, page);
        pages.set(number, page);
      }
      size += Number(entry !== undefined) - Number(page[at % pageSize] !== undefined);
      page[at % pageSize] = entry;
    };
    for (const entry of removed) put(place(entry), undefined);
    for (const entry of added) {
      prefix = `${entry.endpoint.address}/`;
      put(place(entry), entry);
    }
    for (const [number, page] of fresh) {
      if (page.every((entry) => entry === undefined)) pages.delete(number);
    }
    return size === 0 ? Entries.empty : new Entries(prefix, pages, size);
  }

  get(key: string): Entry | undefined {
    if (!key.startsWith(this.#prefix)) return undefined;
    const slash = key.lastIndexOf('/');
    const transport = key.slice(this.#prefix.length, slash);
    if (transport !== 'tcp' && transport !== 'udp') return undefined;
    const at = placeOf(transport, Number(key.slice(slash + 1)));
    return this.#pages.get(Math.floor(at / pageSize))?.[at % pageSize];
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  forEach(callback: (entry: Entry, key: string, map: ReadonlyMap<string, Entry>) => void): void {
    for (const [key, entry] of this) callback(entry, key, this);
  }

  *values(): MapIterator<Entry> {
    for (const page of this.#pages.values()) {
      for (const entry of page) {
        if (entry !== undefined) yield entry;
      }
    }
    return undefined;
  }

  *keys(): MapIterator<string> {
    for (const entry of this.values()) yield endpointKey(entry.endpoint);
    return undefined;
  }

  *entries(): MapIterator<[string, Entry]> {
    for (const entry of this.values()) yield [endpointKey(entry.endpoint), entry];
    return undefined;
  }

  [Symbol.iterator](): MapIterator<[string, Entry]> {
    return this.entries();
  }

  /** Where two versions differ by identity; only pages that are not the same object are read. */
  static *differences(before: Entries, after: Entries): Generator<EntryDifference, void, undefined> {
    const sameAddress = before.#prefix === after.#prefix;
    for (const [number, page] of before.#pages) {
      const other = after.#pages.get(number);
      if (page !== other) yield* pageDifferences(page, other ?? [], sameAddress);
    }
    for (const [number, page] of after.#pages) {
      if (!before.#pages.has(number)) yield* pageDifferences([], page, sameAddress);
    }
  }
}

/** Where two maps of entries differ by identity; a rule that is absent has none. */
export function entryDifferences(
  before: ReadonlyMap<string, Entry> | undefined,
  after: ReadonlyMap<string, Entry> | undefined,
): Iterable<EntryDifference> {
  if (before === after) return [];
  const [left, right] = [before ?? Entries.empty, after ?? Entries.empty];
  return left instanceof Entries && right instanceof Entries
    ? Entries.differences(left, right)
    : keyDifferences(left, right);
}

function* keyDifferences(
  before: ReadonlyMap<string, Entry>,
  after: ReadonlyMap<string, Entry>,
): Generator<EntryDifference, void, undefined> {
  for (const [key, entry] of before) {
    const other = after.get(key);
    if (other !== entry) yield { before: entry, after: other };
  }
  for (const [key, entry] of after) {
    if (!before.has(key)) yield { after: entry };
  }
}

function* pageDifferences(
  before: Page,
  after: Page,
  sameAddress: boolean,
): Generator<EntryDifference, void, undefined> {
  for (let at = 0; at < pageSize; at++) {
    const [left, right] = [before[at], after[at]];
    if (left === right) continue;
    if (sameAddress) yield { before: left, after: right };
    else {
      if (left !== undefined) yield { before: left };
      if (right !== undefined) yield { after: right };
    }
  }
}

function place(entry: Entry): number {
  return placeOf(entry.endpoint.transport, entry.endpoint.port);
}

function placeOf(transport: 'tcp' | 'udp', port: number): number {
  return transport === 'tcp' ? port : 0x1_0000 + port;
}
