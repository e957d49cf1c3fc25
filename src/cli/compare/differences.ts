// Tells where two load balancers in normal form differ, field by field; things are matched by name, not by position.
import type { Json, JsonObject } from '../file/encode.ts';
import { isList, isObject } from './normal-form.ts';

/** A field that differs. Absent on the side that does not have it. */
export interface Difference {
  /** Such as `backendPools[machines].members[vm-3].weight`. */
  readonly path: string;
  readonly before?: Json;
  readonly after?: Json;
}

/** Empty when both mean the same. */
export function differences(before: JsonObject, after: JsonObject): readonly Difference[] {
  return [...compareObjects('', before, after)];
}

function* compareObjects(path: string, before: JsonObject, after: JsonObject): Generator<Difference> {
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    yield* compare(path === '' ? key : `${path}.${key}`, before[key], after[key]);
  }
}

function* compare(path: string, before: Json | undefined, after: Json | undefined): Generator<Difference> {
  // A list that is absent is an empty one.
  if ((before !== undefined && isList(before)) || (after !== undefined && isList(after))) {
    yield* compareLists(path, asList(before), asList(after));
  } else if (before === undefined || after === undefined) {
    if (before !== after) {
      yield { path, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
    }
  } else if (isObject(before) && isObject(after)) yield* compareObjects(path, before, after);
  else if (before !== after) yield { path, before, after };
}

function* compareLists(path: string, before: readonly Json[], after: readonly Json[]): Generator<Difference> {
  const one = byKey(before);
  const other = byKey(after);
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    yield* compare(`${path}[${key}]`, one.get(key), other.get(key));
  }
}

function asList(value: Json | undefined): readonly Json[] {
  return value !== undefined && isList(value) ? value : [];
}

/** The elements by id or name; texts by themselves. A second one of a name is told apart by its number. */
function byKey(items: readonly Json[]): ReadonlyMap<string, Json> {
  const map = new Map<string, Json>();
  for (const item of items) {
    const key = keyOf(item);
    let unique = key;
    for (let number = 2; map.has(unique); number += 1) unique = `${key}#${number}`;
    map.set(unique, item);
  }
  return map;
}

function keyOf(item: Json): string {
  if (!isObject(item)) return String(item);
  const key = item.id ?? item.name;
  return key === undefined ? '' : String(key);
}
