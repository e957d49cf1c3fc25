// One element of a set or map, and how nft reads it: JSON for changes, text where the whole table is replaced.
import { isFloatingSet, tableOfFloatingSet } from './floating-table.ts';
import { isRangeSet } from './limit-chains.ts';
import { tableName } from './skeleton.ts';

/** An address, or a number: port, protocol, mark, ring or slot. Never a name: nft takes numbers faster. */
export type Atom = string | number | AtomRange;

/** Inclusive. */
export interface AtomRange {
  readonly first: number;
  readonly last: number;
}

export interface Element {
  readonly set: string;
  readonly key: readonly Atom[];
  /** Absent in sets. */
  readonly value?: readonly Atom[] | { readonly jump: string };
  /** Of an element that keeps count of something by itself, such as `ct count over 5`; only in text. */
  readonly statement?: string;
}

/** Part of a transaction. For `delete` the values do not matter. */
export interface Operation {
  readonly verb: 'add' | 'delete';
  readonly element: Element;
}

/** nft is fastest when a command holds this many elements (tried: 500 to 100,000). */
const elementsPerCommand = 5000;
/**
 * Of ranges with a number before them only so many: where those of one command fill more than a netlink attribute (64 KiB), nft
 * 1.0.6 encodes the first of the next one twice, and swaps the bytes of its number each time.
 */
const rangesPerCommand = 500;

/**
 * The JSON commands for `operations`, in their order; neighbours with the same verb and set share a command. Yields
 * pieces of text that joined are a list without brackets, so that a million elements never stand in memory at once.
 */
export function* jsonCommands(operations: Iterable<Operation>): Generator<string> {
  let verb: Operation['verb'] | undefined;
  let set = '';
  let count = 0;
  for (const { verb: nextVerb, element } of operations) {
    if (nextVerb === verb && element.set === set && count < elementsPerCommand) {
      yield `,${jsonElement(nextVerb, element)}`;
      count += 1;
      continue;
    }
    const end = verb === undefined ? '' : ']}}},\n';
    verb = nextVerb;
    set = element.set;
    count = 1;
    yield `${end}{"${verb}":{"element":{${jsonTable(set)},"name":"${set}","elem":[` +
      jsonElement(verb, element);
  }
  if (verb !== undefined) yield ']}}}';
}

/** The same commands as text, for `nft -f`, whose commands for ranges are smaller. */
export function* textCommands(operations: Iterable<Operation>): Generator<string> {
  let verb: Operation['verb'] | undefined;
  let set = '';
  let count = 0;
  for (const { verb: nextVerb, element } of operations) {
    const most = isRangeSet(set) ? rangesPerCommand : elementsPerCommand;
    if (nextVerb === verb && element.set === set && count < most) {
      yield `, ${textElement(nextVerb, element)}`;
      count += 1;
      continue;
    }
    const end = verb === undefined ? '' : ' }\n';
    verb = nextVerb;
    set = element.set;
    count = 1;
    yield `${end}${verb} element ${textTable(set)} ${set} { ${textElement(verb, element)}`;
  }
  if (verb !== undefined) yield ' }\n';
}

/** Where a set stands, as JSON has it. */
export function jsonTable(set: string): string {
  const { family, name } = tableOf(set);
  return `"family":"${family}","table":"${name}"`;
}

/** The same, as text has it. */
export function textTable(set: string): string {
  const { family, name } = tableOf(set);
  return `${family} ${name}`;
}

function tableOf(set: string): { readonly family: string; readonly name: string } {
  return isFloatingSet(set) ? tableOfFloatingSet(set) : { family: 'inet', name: tableName };
}

function jsonElement(verb: Operation['verb'], { key, value, statement }: Element): string {
  // It would be left out without a word.
  if (statement !== undefined) throw new RangeError(`nft reads no ${statement} from JSON`);
  if (verb === 'delete' || value === undefined) return jsonTuple(key);
  return `[${jsonTuple(key)},${'jump' in value ? `{"jump":{"target":"${value.jump}"}}` : jsonTuple(value)}]`;
}

function jsonTuple(atoms: readonly Atom[]): string {
  const [only] = atoms;
  if (atoms.length === 1 && only !== undefined) return jsonAtom(only);
  return `{"concat":[${atoms.map(jsonAtom).join(',')}]}`;
}

function jsonAtom(atom: Atom): string {
  if (typeof atom === 'object') return `{"range":[${atom.first},${atom.last}]}`;
  return typeof atom === 'number' ? String(atom) : `"${atom}"`;
}

function textAtom(atom: Atom): string | number {
  return typeof atom === 'object' ? `${atom.first}-${atom.last}` : atom;
}

function textElement(verb: Operation['verb'], { key, value, statement }: Element): string {
  const left = key.map(textAtom).join(' . ');
  if (verb === 'delete') return left;
  if (value === undefined) return statement === undefined ? left : `${left} ${statement}`;
  return `${left} : ${'jump' in value ? `jump ${value.jump}` : value.map(textAtom).join(' . ')}`;
}
