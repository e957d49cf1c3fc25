// Where in a request a value stands: a path that is only spelled out when something is wrong there.

/** A field of the request; a linked list, so that 100,000 members cost no string each. */
export interface Field {
  readonly parent?: Field;
  /** In the proto's snake_case; empty for the request itself. */
  readonly name: string;
  readonly index?: number;
}

/** The request as a whole. */
export const request: Field = { name: '' };

/** A field below another one; with `index`, one element of a repeated field. */
export function at(parent: Field, name: string, index?: number): Field {
  return { parent, name, index };
}

/** `put_members[0].members[2].address`; empty for the request itself. */
export function pathOf(field: Field): string {
  const own = field.index === undefined ? field.name : `${field.name}[${field.index}]`;
  const above = field.parent === undefined ? '' : pathOf(field.parent);
  return above === '' ? own : `${above}.${own}`;
}
