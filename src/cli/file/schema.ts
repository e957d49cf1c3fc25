// What fields the messages have, read from the proto files themselves: a new field needs no change here.
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { packageRoot } from '../package-root.ts';

export type Kind =
  | { readonly kind: 'string' }
  | { readonly kind: 'bool' }
  | { readonly kind: 'integer'; readonly least: number; readonly most: number; readonly wide: boolean }
  | { readonly kind: 'enum'; readonly type: EnumType }
  | { readonly kind: 'message'; readonly type: MessageType }
  | { readonly kind: 'duration' }
  | { readonly kind: 'timestamp' };

export interface Field {
  /** In camelCase, as in protobuf JSON and in the generated messages. */
  readonly name: string;
  /** In snake_case, as in the proto file and in the agent's refusals. */
  readonly protoName: string;
  readonly shape: 'one' | 'list' | 'map';
  readonly value: Kind;
  /** The group of fields of which only one may be set. */
  readonly oneof: string | undefined;
}

export interface MessageType {
  readonly name: string;
  /** Made when first read, as messages may hold themselves. */
  readonly fields: readonly Field[];
  /** A field by its camelCase or its snake_case name. */
  field(name: string): Field | undefined;
}

export interface EnumType {
  readonly name: string;
  /** Such as `PROTOCOL_`. */
  readonly prefix: string;
  readonly numbers: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<number, string>;
}

const messages = new Map<string, MessageType>();
let root: protobuf.Root | undefined;

/** A message of package penstock.v1, such as `LoadBalancer`. */
export function messageType(name: string): MessageType {
  return fromType(protoRoot().lookupType(`penstock.v1.${name}`));
}

function protoRoot(): protobuf.Root {
  if (root !== undefined) return root;
  const folder = join(packageRoot(), 'proto');
  const made = new protobuf.Root();
  made.resolvePath = (_origin, target) => join(folder, target);
  made.loadSync('penstock/v1/gateway.proto').resolveAll();
  root = made;
  return made;
}

function fromType(type: protobuf.Type): MessageType {
  const known = messages.get(type.fullName);
  if (known !== undefined) return known;
  const message = new LazyMessage(type);
  messages.set(type.fullName, message);
  return message;
}

class LazyMessage implements MessageType {
  readonly name: string;
  readonly #type: protobuf.Type;
  #fields: readonly Field[] | undefined;
  readonly #byName = new Map<string, Field>();

  constructor(type: protobuf.Type) {
    this.name = type.name;
    this.#type = type;
  }

  get fields(): readonly Field[] {
    if (this.#fields === undefined) {
      this.#fields = this.#type.fieldsArray.map(fromField);
      for (const field of this.#fields) {
        this.#byName.set(field.protoName, field);
        this.#byName.set(field.name, field);
      }
    }
    return this.#fields;
  }

  field(name: string): Field | undefined {
    if (this.fields.length === 0) return undefined;
    return this.#byName.get(name);
  }
}

function fromField(field: protobuf.Field): Field {
  return {
    name: field.name,
    protoName: snakeCase(field.name),
    shape: field.map ? 'map' : field.repeated ? 'list' : 'one',
    value: fromFieldType(field),
    oneof: field.partOf?.name,
  };
}

function fromFieldType(field: protobuf.Field): Kind {
  const resolved = field.resolvedType;
  if (resolved instanceof protobuf.Enum) return { kind: 'enum', type: fromEnum(resolved) };
  if (resolved instanceof protobuf.Type) {
    if (resolved.fullName === '.google.protobuf.Duration') return { kind: 'duration' };
    if (resolved.fullName === '.google.protobuf.Timestamp') return { kind: 'timestamp' };
    return { kind: 'message', type: fromType(resolved) };
  }
  switch (field.type) {
    case 'string':
      return { kind: 'string' };
    case 'bool':
      return { kind: 'bool' };
    case 'uint32':
      return { kind: 'integer', least: 0, most: 2 ** 32 - 1, wide: false };
    case 'int32':
      return { kind: 'integer', least: -(2 ** 31), most: 2 ** 31 - 1, wide: false };
    case 'uint64':
      return { kind: 'integer', least: 0, most: Number.MAX_SAFE_INTEGER, wide: true };
    default:
      throw new Error(`${field.fullName}: the command cannot write fields of type ${field.type}`);
  }
}

function fromEnum(type: protobuf.Enum): EnumType {
  const entries = Object.entries(type.values);
  return {
    name: type.name,
    prefix: `${snakeCase(type.name).toUpperCase()}_`,
    numbers: new Map(entries),
    names: new Map(entries.map(([name, number]) => [number, name])),
  };
}

/** `frontendPortRangeEnd` to `frontend_port_range_end`. */
export function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]|(?<!^)[A-Z](?=[a-z])/g, (letter) => `_${letter}`).toLowerCase();
}
