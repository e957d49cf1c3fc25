// IP addresses, protocols and ports: parsed once at the border, trusted inside.
import ipaddr from 'ipaddr.js';

declare const brand: unique symbol;

/** An IPv4 or IPv6 address in its canonical text (RFC 5952 for IPv6), so that equal addresses are equal strings. */
export type IpAddress = string & { readonly [brand]: 'IpAddress' };

export type Family = 4 | 6;

/** A transport protocol as it stands in a packet. */
export type Transport = 'tcp' | 'udp';

/** What a rule names: one transport protocol, or both. */
export type RuleProtocol = Transport | 'all';

/** A TCP or UDP port, 1 to 65535. */
export type Port = number;

/** Parses an address in text; `undefined` for anything that is not exactly one address (zones and octal are not). */
export function parseAddress(text: string): IpAddress | undefined {
  // A valid dotted quad without leading zeros is canonical as it stands.
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return text as IpAddress;
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.IPv6.parse(text).toRFC5952String() as IpAddress;
}

export function familyOf(address: IpAddress): Family {
  return address.includes(':') ? 6 : 4;
}

/** The transport protocols that a rule's protocol stands for. */
export function transportsOf(protocol: RuleProtocol): readonly Transport[] {
  return protocol === 'all' ? ['tcp', 'udp'] : [protocol];
}

/** The key of what a machine sends over one protocol: `10.0.0.4/tcp`. */
export function sourceKey(machine: IpAddress, transport: Transport): string {
  return `${machine}/${transport}`;
}
