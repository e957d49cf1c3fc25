// Which Debian a box is made of: this host's, where it is one.
import { access, readFile } from 'node:fs/promises';

export interface Release {
  readonly codename: string;
  /** Files that say where packages come from; none for Debian's own servers. */
  readonly sources: readonly string[];
}

const files = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];

export async function release(): Promise<Release> {
  const host = parse(await readFile('/etc/os-release', 'utf8').catch(() => ''));
  if (host === undefined) return { codename: 'bookworm', sources: [] };
  for (const file of files) {
    const there = await access(file).then(
      () => true,
      () => false,
    );
    if (there) return { codename: host, sources: [file] };
  }
  return { codename: host, sources: [] };
}

/** The code name that an os-release file tells, if it is a Debian's. */
export function parse(text: string): string | undefined {
  const value = (key: string): string | undefined =>
    new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1];
  return value('ID') === 'debian' ? value('VERSION_CODENAME') : undefined;
}
