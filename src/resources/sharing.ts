// What is equal to what it replaces stays the same object, so that later stages see by identity what changed.

/** Deep equality of plain data; costs nothing where both are one object. */
function sameData(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  const entries = Object.entries(one);
  const others = new Map(Object.entries(other));
  return (
    entries.length === others.size &&
    entries.every(([key, value]) => others.has(key) && sameData(value, others.get(key)))
  );
}

/** `next` with every element that equals the previous one of its name replaced by that; or `previous` itself. */
export function shareByName<T extends { readonly name: string }>(
  previous: readonly T[] | undefined,
  next: readonly T[],
): readonly T[] {
  if (previous === undefined) return next;
  let byName: Map<string, T> | undefined;
  const known = (name: string, position: number): T | undefined => {
    const likely = previous[position];
    if (likely?.name === name) return likely;
    byName ??= new Map(previous.map((element) => [element.name, element]));
    return byName.get(name);
  };
  const shared = next.map((element, position) => {
    const before = known(element.name, position);
    return before !== undefined && sameData(before, element) ? before : element;
  });
  const isSame =
    shared.length === previous.length && shared.every((element, index) => element === previous[index]);
  return isSame ? previous : shared;
}
