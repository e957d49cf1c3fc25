// Turns a tree into a message of the API, and lists everything in it that is wrong.
import { closest, distance } from 'fastest-levenshtein';
import { type Duration, parseDuration } from './duration.ts';
import { enumChoices, enumNumber } from './enum-name.ts';
import type { Field, Kind, MessageType } from './schema.ts';
import { describeTree, type Entry, type MapTree, type Mistake, type Place, type Tree } from './tree.ts';

/**
 * Fields of which zero, or an empty list, is for the API as if they were not there. Who writes it down means something else,
 * perhaps the very contrary.
 */
const zeroMeans: ReadonlyMap<string, string> = new Map([
  ['Limits.allowedClients', 'every client'],
  ['Limits.newFlowsPerSecond', 'any number'],
  ['Limits.newFlowsBurst', 'as many as newFlowsPerSecond'],
  ['Limits.concurrentFlows', 'any number'],
  ['Member.weight', '1'],
  ['Probe.threshold', '1'],
]);

/** A message as the generated classes take it: camelCase names, enums as numbers; what was not said is absent. */
export type PlainMessage = Readonly<Record<string, unknown>>;

/** Reads `tree` as a message of `type`; mistakes are added to `mistakes`, and the result is then incomplete. */
export function decodeMessage(
  type: MessageType,
  tree: Tree,
  path: string,
  mistakes: Mistake[],
): PlainMessage {
  return new Decoder(mistakes).message(type, tree, path);
}

class Decoder {
  readonly #mistakes: Mistake[];

  constructor(mistakes: Mistake[]) {
    this.#mistakes = mistakes;
  }

  message(type: MessageType, tree: Tree, path: string): PlainMessage {
    const message: Record<string, unknown> = {};
    if (tree.kind !== 'map') {
      this.#wrong(tree, path, `must be an object with the fields of a ${type.name}`);
      return message;
    }
    const given = new Map<Field, Entry>();
    for (const entry of tree.entries) {
      const inner = join(path, entry.key);
      const field = type.field(entry.key);
      if (field === undefined) {
        this.#report(entry, inner, `unknown field${suggestion(type, entry.key)}`);
        continue;
      }
      if (given.has(field)) {
        // The same spelling twice is the parser's to report.
        if (given.get(field)?.key !== entry.key)
          this.#report(entry, inner, `stands twice, also as ${given.get(field)?.key}`);
        continue;
      }
      given.set(field, entry);
      if (isNothing(entry.value)) continue;
      const value = this.#field(field, entry.value, inner);
      const meaning = isZero(value) ? zeroMeans.get(`${type.name}.${field.name}`) : undefined;
      if (meaning !== undefined) {
        const written = Array.isArray(value) ? 'an empty list' : describeTree(entry.value);
        const text = `${written} would be taken for "${meaning}"; leave the field out if that is meant`;
        this.#report(entry, inner, text);
      } else if (value !== undefined) message[field.name] = value;
    }
    this.#checkGroups(tree, given, path);
    return message;
  }

  /** Of the fields of a oneof only one may be set. */
  #checkGroups(tree: MapTree, given: ReadonlyMap<Field, Entry>, path: string): void {
    const first = new Map<string, Entry>();
    for (const [field, entry] of given) {
      if (field.oneof === undefined || isNothing(entry.value)) continue;
      const other = first.get(field.oneof);
      if (other === undefined) first.set(field.oneof, entry);
      else this.#report(entry ?? tree, join(path, entry.key), `excludes ${other.key}; give one of the two`);
    }
  }

  #field(field: Field, tree: Tree, path: string): unknown {
    switch (field.shape) {
      case 'one':
        return this.#value(field.value, tree, path);
      case 'list':
        if (tree.kind !== 'list') return this.#wrong(tree, path, 'must be a list');
        return tree.items.map((item, index) => this.#value(field.value, item, `${path}[${index}]`));
      case 'map': {
        if (tree.kind !== 'map') return this.#wrong(tree, path, 'must be an object');
        const entries = tree.entries.map(
          (entry) => [entry.key, this.#value(field.value, entry.value, join(path, entry.key))] as const,
        );
        return Object.fromEntries(entries);
      }
    }
  }

  #value(kind: Kind, tree: Tree, path: string): unknown {
    switch (kind.kind) {
      case 'message':
        return this.message(kind.type, tree, path);
      case 'string':
        return this.#string(tree, path);
      case 'bool':
        if (tree.kind === 'scalar' && typeof tree.value === 'boolean') return tree.value;
        return this.#wrong(tree, path, 'must be true or false');
      case 'integer':
        return this.#integer(kind, tree, path);
      case 'enum': {
        const choices = enumChoices(kind.type).join(', ');
        if (tree.kind !== 'scalar') return this.#wrong(tree, path, `must be one of ${choices}`);
        if (typeof tree.value === 'number' && kind.type.names.has(tree.value)) return tree.value;
        const number = typeof tree.value === 'string' ? enumNumber(kind.type, tree.value) : undefined;
        return number ?? this.#wrong(tree, path, `must be one of ${choices}`);
      }
      case 'duration':
        return this.#duration(tree, path);
      case 'timestamp': {
        const time =
          tree.kind === 'scalar' && typeof tree.value === 'string' ? Date.parse(tree.value) : Number.NaN;
        if (Number.isNaN(time)) return this.#wrong(tree, path, 'must be a time such as 2026-01-31T12:00:00Z');
        const seconds = Math.floor(time / 1000);
        return { seconds, nanos: (time - seconds * 1000) * 1_000_000 };
      }
    }
  }

  #string(tree: Tree, path: string): string | undefined {
    if (tree.kind === 'scalar' && typeof tree.value === 'string') return tree.value;
    const quoted =
      tree.kind === 'scalar' && tree.value !== null ? `; put quotes around it: "${tree.value}"` : '';
    return this.#wrong(tree, path, 'must be a text', quoted);
  }

  #integer(kind: Extract<Kind, { kind: 'integer' }>, tree: Tree, path: string): number | undefined {
    if (tree.kind !== 'scalar') return this.#wrong(tree, path, 'must be a whole number');
    // Protobuf JSON takes numbers in quotes, too.
    const written = tree.value;
    const value = typeof written === 'string' && /^-?\d{1,20}$/.test(written) ? Number(written) : written;
    if (typeof value !== 'number' || !Number.isInteger(value))
      return this.#wrong(tree, path, 'must be a whole number');
    if (value >= kind.least && value <= kind.most) return value;
    return this.#wrong(tree, path, `must be ${kind.least} to ${kind.most}`);
  }

  #duration(tree: Tree, path: string): Duration | undefined {
    if (tree.kind === 'scalar' && typeof tree.value === 'string') {
      const duration = parseDuration(tree.value);
      if (duration !== undefined) return duration;
    }
    const unit =
      tree.kind === 'scalar' && typeof tree.value === 'number' && tree.value >= 0
        ? `; a unit is missing, as in ${tree.value}s`
        : '';
    return this.#wrong(tree, path, 'must be a duration such as 240s, 4m or 1h30m', unit);
  }

  #wrong(tree: Tree, path: string, must: string, more = ''): undefined {
    this.#report(tree, path, `${must}, and is ${describeTree(tree)}${more}`);
    return undefined;
  }

  #report(place: Place, path: string, text: string): void {
    this.#mistakes.push({ path, offset: place.offset, text });
  }
}

function isZero(value: unknown): boolean {
  return value === 0 || (Array.isArray(value) && value.length === 0);
}

function isNothing(tree: Tree): boolean {
  return tree.kind === 'scalar' && tree.value === null;
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** The nearest field name, when it is near enough to be meant. */
function suggestion(type: MessageType, key: string): string {
  const names = new Map(type.fields.map((field) => [fold(field.name), field.name]));
  const written = fold(key);
  if (names.size === 0) return '';
  const nearest = closest(written, [...names.keys()]);
  const most = Math.max(2, Math.floor(nearest.length / 3));
  if (distance(written, nearest) > most)
    return `; the fields of ${type.name} are ${[...names.values()].join(', ')}`;
  return `; did you mean ${names.get(nearest)}?`;
}

function fold(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
