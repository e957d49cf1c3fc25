// Reads YAML documents into trees; every syntax error and duplicate key is reported, with its place.
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseAllDocuments,
  type YAMLMap,
} from 'yaml';
import type { Documents, Entry, Mistake, Tree } from './tree.ts';

// Aliases let a short file name the same lines many times over; this stops one that would fill the memory.
const mostNodes = 20_000_000;

export function parseYaml(text: string): Documents {
  const mistakes: Mistake[] = [];
  const trees: Tree[] = [];
  const parsed = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: false, version: '1.2' });
  for (const document of Array.isArray(parsed) ? parsed : []) {
    for (const error of [...document.errors, ...document.warnings]) {
      mistakes.push({ path: '', offset: error.pos[0], text: error.message });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const converter = new Converter(document, mistakes);
    const tree = converter.convert(document.contents, '');
    if (!(tree.kind === 'scalar' && tree.value === null)) trees.push(tree);
  }
  return { trees, mistakes };
}

class Converter {
  readonly #document: Document;
  readonly #mistakes: Mistake[];
  readonly #open = new Set<Node>();
  #nodes = 0;

  constructor(document: Document, mistakes: Mistake[]) {
    this.#document = document;
    this.#mistakes = mistakes;
  }

  convert(node: Node, path: string): Tree {
    const offset = node.range?.[0] ?? 0;
    this.#nodes += 1;
    if (this.#nodes > mostNodes) {
      if (this.#nodes === mostNodes + 1) this.#mistake(path, offset, 'the aliases expand to too much');
      return { kind: 'scalar', value: null, offset };
    }
    if (isAlias(node)) return this.#alias(node.resolve(this.#document), node.source, offset, path);
    if (this.#open.has(node)) {
      this.#mistake(path, offset, 'an alias stands inside what it names');
      return { kind: 'scalar', value: null, offset };
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

  #alias(target: Node | undefined, name: string, offset: number, path: string): Tree {
    if (target !== undefined) return this.convert(target, path);
    this.#mistake(path, offset, `*${name} names no anchor above it`);
    return nothing(offset);
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
