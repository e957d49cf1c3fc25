// Turns a message into its protobuf JSON form: camelCase, enum names, defaults left out.
import { formatDuration, formatFraction } from './duration.ts';
import type { Field, Kind, MessageType } from './schema.ts';

export type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** The JSON form of a message; `message` is one of the generated classes' or a plain object of the same shape. */
export function encodeMessage(type: MessageType, message: object): JsonObject {
  const json: Record<string, Json> = {};
  for (const field of type.fields) {
    // Absent fields of a decoded message are inherited defaults, except for members of a oneof, which are null.
    const value: unknown = Reflect.get(message, field.name);
    const encoded = encodeField(field, value);
    if (encoded !== undefined) json[field.name] = encoded;
  }
  return json;
}

function encodeField(field: Field, value: unknown): Json | undefined {
  if (value === null || value === undefined) return undefined;
  switch (field.shape) {
    case 'list': {
      if (!Array.isArray(value) || value.length === 0) return undefined;
      return value.map((item: unknown) => encodeValue(field.value, item));
    }
    case 'map': {
      if (typeof value !== 'object') return undefined;
      const entries = Object.entries(value);
      if (entries.length === 0) return undefined;
      return Object.fromEntries(entries.map(([key, item]) => [key, encodeValue(field.value, item)]));
    }
    case 'one':
      // A member of a oneof says something by being there, whatever its value.
      if (field.oneof === undefined && isDefault(field.value, value)) return undefined;
      return encodeValue(field.value, value);
  }
}

function isDefault(kind: Kind, value: unknown): boolean {
  switch (kind.kind) {
    case 'string':
      return value === '';
    case 'bool':
      return value === false;
    case 'integer':
    case 'enum':
      return value === 0;
    case 'message':
    case 'duration':
    case 'timestamp':
      return false;
  }
}

function encodeValue(kind: Kind, value: unknown): Json {
  switch (kind.kind) {
    case 'string':
      return String(value);
    case 'bool':
      return value === true;
    case 'integer':
      // Protobuf JSON writes 64-bit numbers as texts, since not every reader of JSON holds them.
      return kind.wide ? String(value) : Number(value);
    case 'enum':
      return kind.type.names.get(Number(value)) ?? Number(value);
    case 'message':
      return encodeMessage(kind.type, toObject(value));
    case 'duration':
      return formatDuration(toObject(value));
    case 'timestamp':
      return formatTimestamp(toObject(value));
  }
}

/** RFC 3339 in UTC, with 0, 3, 6 or 9 digits of a second. */
export function formatTimestamp(timestamp: {
  readonly seconds?: number | null;
  readonly nanos?: number | null;
}): string {
  const whole = new Date((timestamp.seconds ?? 0) * 1000).toISOString().replace(/\.000Z$/, '');
  return `${whole}${formatFraction(timestamp.nanos ?? 0)}Z`;
}

function toObject(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}
