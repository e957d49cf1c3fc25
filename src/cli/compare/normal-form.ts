// One form for all ways to say the same: defaults left unsaid, addresses spelt alike, ranges by their end.
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { encodeMessage, type Json, type JsonObject } from '../file/encode.ts';
import { type Field, type MessageType, messageType } from '../file/schema.ts';

/** Enums whose first value is what UNSPECIFIED means. Of the others UNSPECIFIED is refused. */
const firstIsDefault: ReadonlySet<string> = new Set([
  'AddressOwnership',
  'AdminState',
  'WhenUnhealthy',
  'SessionPersistence',
  'NoHealthyBackends',
  'SourceNat',
  'Encapsulation',
]);

/** The JSON form of a load balancer, such that two which mean the same are equal but for the order of lists. */
export function normalForm(loadBalancer: object): JsonObject {
  const type = messageType('LoadBalancer');
  return normalMessage(type, encodeMessage(type, loadBalancer));
}

function normalMessage(type: MessageType, message: JsonObject): JsonObject {
  const normal: Record<string, Json> = {};
  for (const field of type.fields) {
    const value = message[field.name];
    if (value === undefined) continue;
    const kept = normalField(field, value);
    if (kept !== undefined) normal[field.name] = kept;
  }
  return rewrite(type.name, normal);
}

function normalField(field: Field, value: Json): Json | undefined {
  const { value: kind } = field;
  switch (kind.kind) {
    case 'message': {
      if (isList(value)) return value.map((item) => (isObject(item) ? normalMessage(kind.type, item) : item));
      if (!isObject(value)) return value;
      const inner = normalMessage(kind.type, value);
      // A message with nothing in it says nothing, unless being there chooses a kind.
      return Object.keys(inner).length === 0 && field.oneof === undefined ? undefined : inner;
    }
    case 'enum':
      return firstIsDefault.has(kind.type.name) && value === kind.type.names.get(1) ? undefined : value;
    case 'string':
    case 'bool':
    case 'integer':
    case 'duration':
    case 'timestamp':
      return value;
  }
}

/** What single messages let one leave unsaid, or say in two ways. */
function rewrite(type: string, message: Record<string, Json>): JsonObject {
  if (typeof message.address === 'string') message.address = normalAddress(message.address);
  switch (type) {
    case 'Member':
      if (message.weight === 1) delete message.weight;
      if (message.id === undefined && message.address !== undefined)
        return { id: message.address, ...message };
      break;
    case 'PoolTargets': {
      if (message.portsPerMember === 1) delete message.portsPerMember;
      const { frontendPortRangeStart: start, maximumMachines: machines, portsPerMember = 1 } = message;
      if (typeof start === 'number' && typeof machines === 'number' && typeof portsPerMember === 'number') {
        message.frontendPortRangeEnd = start + machines * portsPerMember - 1;
        delete message.maximumMachines;
      }
      break;
    }
    case 'Limits':
      if (message.newFlowsBurst === message.newFlowsPerSecond) delete message.newFlowsBurst;
      if (message.allowedClients !== undefined && isList(message.allowedClients))
        message.allowedClients = message.allowedClients.map(normalRange);
      break;
    case 'Probe':
      if (message.interval === '5s') delete message.interval;
      if (message.threshold === 1) delete message.threshold;
      break;
    default:
  }
  return message;
}

function normalRange(range: Json): Json {
  if (typeof range !== 'string') return range;
  const [address = '', ...length] = range.split('/');
  return [normalAddress(address), ...length].join('/');
}

function normalAddress(text: string): string {
  switch (isIP(text)) {
    case 6:
      return ipaddr.IPv6.parse(text).toRFC5952String();
    default:
      return text;
  }
}

export function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

export function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && !Array.isArray(value);
}
