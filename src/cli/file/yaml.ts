// Reads YAML documents into trees; every syntax error and duplicate key is reported, with its place.
import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, parseAllDocuments, type YAMLMap } from 'yaml';
import type { Documents, Entry, Mistake, Tree } from './tree.ts';

// Aliases let a short file name the same lines many times over; this stops one that would fill the memory.
const mostAliasedNodes = 500_000;

class TooMuch extends Error {
  override readonly name = 'TooMuch';
}

export function parseYaml(text: string): Documents {
  const mistakes: Mistake[] = [];
  const trees: Tree[] = [];
  const parsed = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: false, version: '1.2' });
  for (const document of Array.isArray(parsed) ? parsed : []) {
    for (const error of [...document.errors, ...document.warnings]) {
      mistakes.push({ path: '', offset: error.pos[0], text: error.message });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const tree = convert(document.contents, mistakes);
    if (tree !== undefined && !(tree.kind === 'scalar' && tree.value === null)) trees.push(tree);
  }
  return { trees, mistakes };
}

function convert(node: Node, mistakes: Mistake[]): Tree | undefined {
  try {
    return new Converter(mistakes).convert(node, '');
  } catch (error) {
    if (!(error instanceof TooMuch)) throw error;
    mistakes.push({ path: '', offset: node.range?.[0] ?? 0, text: error.message });
    return undefined;
  }
}

class Converter {
  readonly #mistakes: Mistake[];
  /** An alias means the nearest anchor of its name above it, so they are collected on the way. */
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  #aliases = 0;
  #aliasedNodes = 0;

  constructor(mistakes: Mistake[]) {
    this.#mistakes = mistakes;
  }

  convert(node: Node, path: string): Tree {
    const offset = node.range?.[0] ?? 0;
    if (isAlias(node)) return this.#alias(node.source, offset, path);
    if (this.#open.has(node)) {
      this.#mistake(path, offset, 'an alias stands inside what it names');
      return nothing(offset);
    }
    if (this.#aliases === 0) {
      if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    } else {
      this.#aliasedNodes += 1;
      if (this.#aliasedNodes > mostAliasedNodes) throw new TooMuch('the aliases expand to too much');
    }
    this.#open.add(node);
    try {
      if (isMap(node)) return { kind: 'map', entries: this.#entries(node, path), offset };
      if (isSeq(node)) {
        const items = node.items.map((item, index) =>
          isNode(item) ? this.convert(item, `${path}[${index}]`) : nothing(offset),
        );
        return { kind: 'list', items, offset };
      }
      if (isScalar(node)) return this.#scalar(node.value, path, offset);
      return nothing(offset);
    } finally {
      this.#open.delete(node);
    }
  }

  #alias(name: string, offset: number, path: string): Tree {
    const target = this.#anchors.get(name);
    if (target === undefined) {
      this.#mistake(path, offset, `*${name} names no anchor above it`);
      return nothing(offset);
    }
    this.#aliases += 1;
    const tree = this.convert(target, path);
    this.#aliases -= 1;
    return tree;
  }

  #entries(map: YAMLMap, path: string): readonly Entry[] {
    const entries: Entry[] = [];
    const seen = new Set<string>();
    for (const pair of map.items as readonly Pair[]) {
      const key = pair.key;
      const offset = isNode(key) ? (key.range?.[0] ?? 0) : 0;
      if (!isScalar(key)) {
        this.#mistake(path, offset, 'a key must be a plain word');
        continue;
      }
      // `source` keeps what was written, so that a rule named 0123 or true stays that.
      const name = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
      const inner = path === '' ? name : `${path}.${name}`;
      if (seen.has(name)) this.#mistake(inner, offset, 'this key stands twice');
      seen.add(name);
      entries.push({
        key: name,
        offset,
        value: isNode(pair.value) ? this.convert(pair.value, inner) : nothing(offset),
      });
    }
    return entries;
  }

  #scalar(value: unknown, path: string, offset: number): Tree {
    switch (typeof value) {
      case 'string':
      case 'number':
      case 'boolean':
        return { kind: 'scalar', value, offset };
      default:
        if (value !== null) this.#mistake(path, offset, 'a value of this kind has no meaning here');
        return nothing(offset);
    }
  }

  #mistake(path: string, offset: number, text: string): void {
    this.#mistakes.push({ path, offset, text });
  }
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

function nothing(offset: number): Tree {
  return { kind: 'scalar', value: null, offset };
}
