// Reads what apt-cache(8) says about kernel packages.

export interface Package {
  /** Such as `linux-image-6.1.0-56-amd64`. */
  readonly name: string;
  readonly version: string;
  /** Bytes to download. */
  readonly size: number;
  /** Bytes when unpacked, as the package says. */
  readonly installedSize: number;
}

/** The name with the highest numbers among those that match, or undefined when none does. */
export function newest(names: readonly string[], pattern: RegExp): string | undefined {
  // Numeric collation compares runs of digits as numbers, so 6.12.100 comes after 6.12.99.
  const order = new Intl.Collator('en', { numeric: true });
  return names
    .filter((name) => pattern.test(name))
    .sort(order.compare)
    .at(-1);
}

/** The names in the answer of `apt-cache search`: a line each, `name - description`. */
export function namesFound(answer: string): readonly string[] {
  return answer.split('\n').flatMap((line) => line.match(/^(\S+) - /)?.[1] ?? []);
}

/** One paragraph of `apt-cache show`, or undefined when it is not one. */
export function parsePackage(paragraph: string): Package | undefined {
  const field = (name: string) => paragraph.match(new RegExp(`^${name}: (.+)$`, 'm'))?.[1];
  const name = field('Package');
  const version = field('Version');
  if (name === undefined || version === undefined) return undefined;
  const kibibytes = Number(field('Installed-Size') ?? 0);
  return { name, version, size: Number(field('Size') ?? 0), installedSize: kibibytes * 1024 };
}
