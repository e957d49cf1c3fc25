// Reads configuration files: every load balancer in them, and every mistake with its line.
import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import type { Message } from '../../wire/client.ts';
import { CommandError, exit } from '../exit.ts';
import { decodeMessage } from './decode.ts';
import { parseJson } from './json.ts';
import { messageType, snakeCase } from './schema.ts';
import { Lines, type MapTree, type Mistake, type Tree } from './tree.ts';
import { parseYaml } from './yaml.ts';

/** A load balancer of a file, which remembers where it stands there. */
export interface Declared {
  readonly message: Message<'LoadBalancer'>;
  readonly file: string;
  readonly tree: Tree;
  readonly lines: Lines;
}

/** A mistake as people are told of it. */
export interface FileMistake {
  readonly file: string;
  readonly line: number;
  readonly path: string;
  readonly text: string;
}

/** What one file holds. Nothing of it may be used when there are mistakes. */
export interface FileContent {
  readonly declared: readonly Declared[];
  readonly mistakes: readonly FileMistake[];
}

/** Reads files (`-` is standard input); throws one error that lists the mistakes of all. */
export async function readFiles(
  names: readonly string[],
  stdin: NodeJS.ReadableStream = process.stdin,
): Promise<readonly Declared[]> {
  if (names.filter((name) => name === '-').length > 1) {
    throw new CommandError(exit.usage, 'standard input (-) can be read only once');
  }
  const contents: FileContent[] = [];
  for (const name of names) {
    contents.push(parseFile(name === '-' ? '<stdin>' : name, await readText(name, stdin)));
  }
  const declared = contents.flatMap((content) => content.declared);
  const mistakes = [...contents.flatMap((content) => content.mistakes), ...repeatedNames(declared)];
  if (mistakes.length > 0) throw mistakesError(mistakes);
  return declared;
}

async function readText(name: string, stdin: NodeJS.ReadableStream): Promise<string> {
  try {
    return name === '-' ? await readStream(stdin) : await readFile(name, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EACCES'
          ? 'it may not be read'
          : code === 'EISDIR'
            ? 'it is a folder'
            : String(error);
    throw new CommandError(exit.usage, `${name}: ${why}`);
  }
}

/** Reads the text of a file: load balancers, lists of them, or objects with `loadBalancers`, in YAML or JSON. */
export function parseFile(file: string, text: string): FileContent {
  const lines = new Lines(text);
  const { trees, mistakes: syntax } = parseJson(text) ?? parseYaml(text);
  const mistakes: Mistake[] = [...syntax];
  const declared: Declared[] = [];
  if (trees.length === 0 && syntax.length === 0) {
    mistakes.push({
      path: '',
      offset: 0,
      text: 'the file is empty; to mean no load balancers, write loadBalancers: []',
    });
  }
  for (const document of trees) {
    for (const { tree, path } of loadBalancerTrees(document, mistakes)) {
      // The schema is the generated class's own source, so the shape is that of the message.
      const message = decodeMessage(
        messageType('LoadBalancer'),
        tree,
        path,
        mistakes,
      ) as Message<'LoadBalancer'>;
      declared.push({ message, file, tree, lines });
    }
  }
  return {
    declared,
    mistakes: mistakes
      .sort((one, other) => one.offset - other.offset)
      .map(({ path, text, offset }) => ({ file, line: lines.lineOf(offset), path, text })),
  };
}

interface Located {
  readonly tree: Tree;
  readonly path: string;
}

function loadBalancerTrees(document: Tree, mistakes: Mistake[]): readonly Located[] {
  switch (document.kind) {
    case 'list':
      return document.items.map((tree, index) => ({ tree, path: `[${index}]` }));
    case 'map': {
      const wrapper = listEntry(document);
      return wrapper === undefined
        ? [{ tree: document, path: '' }]
        : unwrapped(document, wrapper.key, mistakes);
    }
    case 'scalar':
      return [{ tree: document, path: '' }];
  }
}

/** `loadBalancers`, also a little misspelt: a load balancer itself has no field of such a name. */
function listEntry(document: MapTree): MapTree['entries'][number] | undefined {
  return document.entries.find(({ key }) => /^load_?balancers?$/i.test(key));
}

/** What `get lb -o yaml` writes: the load balancers, beside the revision and the counters. */
function unwrapped(document: MapTree, key: string, mistakes: Mistake[]): readonly Located[] {
  const list = messageType('ListLoadBalancersResponse');
  const inner = document.entries.find((entry) => entry.key === key)?.value;
  const rest = document.entries.filter((entry) => entry.key !== key || list.field(key) === undefined);
  decodeMessage(list, { ...document, entries: rest }, '', mistakes);
  if (inner === undefined) return [];
  if (inner.kind === 'list') return inner.items.map((tree, index) => ({ tree, path: `${key}[${index}]` }));
  mistakes.push({
    path: key,
    offset: inner.offset,
    text: 'must be a list of load balancers; to mean none, write []',
  });
  return [];
}

/** A stream joins parts of one name, so names that stand twice by mistake are found here. */
function repeatedNames(declared: readonly Declared[]): readonly FileMistake[] {
  const mistakes: FileMistake[] = [];
  const seen = new Map<string, Declared>();
  for (const one of declared) {
    const name = one.message.name ?? '';
    const before = seen.get(name);
    if (before !== undefined && name !== '') {
      mistakes.push({
        file: one.file,
        line: locate(one, 'name'),
        path: 'name',
        text: `a load balancer ${name} stands already at ${before.file}:${locate(before, 'name')}`,
      });
    }
    seen.set(name, one);
    const pools = new Set<string>();
    for (const [index, pool] of (one.message.backendPools ?? []).entries()) {
      const poolName = pool.name ?? '';
      if (poolName !== '' && pools.has(poolName)) {
        const path = `backendPools[${index}].name`;
        mistakes.push({
          file: one.file,
          line: locate(one, path),
          path,
          text: `the load balancer has another pool ${poolName}`,
        });
      }
      pools.add(poolName);
    }
  }
  return mistakes;
}

/** The line of a field, such as `inbound_nat_rules[3].pool`; the nearest line above when it is not in the file. */
export function locate(declared: Declared, path: string): number {
  let tree = declared.tree;
  let offset = tree.offset;
  for (const step of path.matchAll(/\[(?<index>\d+)\]|(?<key>[^.[\]]+)/g)) {
    const { index, key } = step.groups ?? {};
    if (tree.kind === 'map' && key !== undefined) {
      const entry = tree.entries.find((one) => one.key === key || snakeCase(one.key) === snakeCase(key));
      if (entry === undefined) break;
      tree = entry.value;
      offset = entry.offset;
    } else if (tree.kind === 'list' && index !== undefined) {
      const item = tree.items[Number(index)];
      if (item === undefined) break;
      tree = item;
      offset = item.offset;
    } else break;
  }
  return declared.lines.lineOf(offset);
}

const mostMistakes = 100;

function mistakesError(mistakes: readonly FileMistake[]): CommandError {
  const files = [...new Set(mistakes.map((mistake) => mistake.file))].join(', ');
  const shown = mistakes.slice(0, mostMistakes);
  const more = mistakes.length - shown.length;
  return new CommandError(
    exit.usage,
    `${files}: ${mistakes.length === 1 ? '1 mistake' : `${mistakes.length} mistakes`}; nothing was sent`,
    {
      details: [
        ...shown.map(({ file, line, path, text }) => ({
          place: `${file}:${line}`,
          text: path === '' ? text : `${path}: ${text}`,
        })),
        ...(more > 0 ? [{ place: '', text: `and ${more} more` }] : []),
      ],
    },
  );
}
