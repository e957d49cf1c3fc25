// What a configuration file holds, before it is known to mean anything: values that remember their place.

/** Where something stands; `offset` counts characters from the start of the file. */
export interface Place {
  readonly offset: number;
}

export type Tree = MapTree | ListTree | ScalarTree;

export interface MapTree extends Place {
  readonly kind: 'map';
  readonly entries: readonly Entry[];
}

export interface Entry extends Place {
  readonly key: string;
  readonly value: Tree;
}

export interface ListTree extends Place {
  readonly kind: 'list';
  readonly items: readonly Tree[];
}

export interface ScalarTree extends Place {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
}

/** A mistake in a file. */
export interface Mistake extends Place {
  /** The path of the field, such as `inboundNatRules[2].pool`; empty for the whole document. */
  readonly path: string;
  readonly text: string;
}

/** The documents of a file, and what keeps it from being read. */
export interface Documents {
  readonly trees: readonly Tree[];
  readonly mistakes: readonly Mistake[];
}

/** How a value is called in a message. */
export function describeTree(tree: Tree): string {
  switch (tree.kind) {
    case 'map':
      return 'an object';
    case 'list':
      return 'a list';
    case 'scalar':
      if (tree.value === null) return 'nothing';
      if (typeof tree.value === 'string') return `the text ${JSON.stringify(shorten(tree.value))}`;
      return String(tree.value);
  }
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** Turns offsets into lines, counted from 1. */
export class Lines {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1);
  }

  lineOf(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
