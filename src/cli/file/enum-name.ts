// Enum values by name: with or without the prefix, in any case, with `-` for `_`.
import type { EnumType } from './schema.ts';

/** The number of an enum value that is named as people write it; undefined for an unknown name. */
export function enumNumber(type: EnumType, text: string): number | undefined {
  const name = text.trim().toUpperCase().replaceAll('-', '_');
  return type.numbers.get(`${type.prefix}${name}`) ?? type.numbers.get(name);
}

/** The names to choose from, without the prefix; UNSPECIFIED stays unsaid, since it says nothing. */
export function enumChoices(type: EnumType): readonly string[] {
  return [...type.numbers.keys()]
    .filter((name) => name !== `${type.prefix}UNSPECIFIED`)
    .map((name) => shortName(type, name));
}

/** The name of a value without its prefix; the number itself where this version knows no name. */
export function enumShortName(type: EnumType, number: number): string {
  const name = type.names.get(number);
  return name === undefined ? String(number) : shortName(type, name);
}

function shortName(type: EnumType, name: string): string {
  return name.startsWith(type.prefix) ? name.slice(type.prefix.length) : name;
}
