// What ip(8) says, as JSON; its absence is told apart from its failures.
import { execa } from 'execa';

/** The objects of an answer. Throws with the program's own words. */
export async function askIp(...args: readonly string[]): Promise<readonly unknown[]> {
  const { stdout } = await execa('ip', ['-json', ...args]);
  return objects(stdout);
}

export function objects(json: string): readonly unknown[] {
  const parsed: unknown = JSON.parse(json.trim() === '' ? '[]' : json);
  return Array.isArray(parsed) ? parsed : [];
}

/** A field of an object from elsewhere; undefined where there is none. */
export function field(value: unknown, ...path: readonly string[]): unknown {
  let at = value;
  for (const name of path) at = typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined;
  return at;
}

export function textOf(value: unknown, ...path: readonly string[]): string {
  const found = field(value, ...path);
  return typeof found === 'string' ? found : '';
}

export function numberOf(value: unknown, ...path: readonly string[]): number | undefined {
  const found = field(value, ...path);
  return typeof found === 'number' ? found : undefined;
}

export function listOf(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = field(value, ...path);
  return Array.isArray(found) ? found : [];
}
