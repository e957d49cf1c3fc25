// What the kernel of a lab's gateway runs, in forms that can be compared.
import type { Lab } from '../../lab/lab.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * The whole ruleset with its handles and without counters, elements sorted; without the fast path, which comes and goes by
 * itself. Every transaction of the agent's changes the
 * stamp, so equal texts mean that there was none.
 */
export async function ruleset(lab: Lab): Promise<string> {
  const { stdout } = await lab.exec('gateway', ['nft', '-j', 'list', 'ruleset']);
  const listed = JSON.parse(stdout, (name, value: Json) => {
    if (name === 'counter') return undefined;
    if (name === 'nftables' && Array.isArray(value)) return value.filter((each) => !ofFastPath(each));
    if (name !== 'elem' || !Array.isArray(value)) return value;
    return value.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  });
  return JSON.stringify(listed);
}

function ofFastPath(listed: Json): boolean {
  return /"(table|name)":"penstock_fast"/.test(JSON.stringify(listed));
}

/** The same for what is forwarded only: no stamp, no handles. */
export async function forwarding(lab: Lab): Promise<string> {
  return (await ruleset(lab))
    .replaceAll(/"handle":\d+/g, '')
    .replace(/\{"map":\{[^{}]*"name":"stamp".*?\]\]\}\}/, '');
}

/** The elements of a map or set as `key -> value` or `key`, without counters, sorted. */
export async function elements(lab: Lab, kind: 'map' | 'set', name: string): Promise<readonly string[]> {
  const { stdout } = await lab.exec('gateway', ['nft', '-j', 'list', kind, 'inet', 'penstock', name]);
  const listed: Json = JSON.parse(stdout);
  return elementsIn(listed).map(textOf).toSorted();
}

function elementsIn(value: Json): readonly Json[] {
  if (Array.isArray(value)) return value.flatMap(elementsIn);
  if (typeof value !== 'object' || value === null) return [];
  const found = Object.entries(value).flatMap(([name, inner]) =>
    name === 'elem' && Array.isArray(inner) ? inner : elementsIn(inner),
  );
  return found;
}

function textOf(element: Json): string {
  if (Array.isArray(element)) return element.map(textOf).join(' -> ');
  if (typeof element !== 'object' || element === null) return String(element);
  const fields = new Map(Object.entries(element));
  const concatenation = fields.get('concat');
  if (Array.isArray(concatenation)) return concatenation.map(textOf).join(' ');
  const inner = fields.get('elem') ?? fields.get('val');
  return inner === undefined ? JSON.stringify(element) : textOf(inner);
}
