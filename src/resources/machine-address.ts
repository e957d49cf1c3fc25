// Which addresses a machine or a frontend can have: those that packets are routed to.
import { familyOf, type IpAddress, parseAddress } from './address.ts';
import type { Field } from './field.ts';
import { quoted } from './names.ts';
import type { Report } from './report.ts';

/** An address that packets can be sent to. Undefined, and reported, otherwise. */
export function parseMachineAddress(
  text: string | undefined,
  field: Field,
  report: Report,
): IpAddress | undefined {
  if (text === undefined || text === '') {
    report(field, 'FIELD_REQUIRED', 'an IPv4 or IPv6 address is required');
    return undefined;
  }
  const address = parseAddress(text);
  const fault = address === undefined ? 'is not an IPv4 or IPv6 address' : faultOf(address);
  if (fault === undefined) return address;
  report(field, 'ADDRESS_INVALID', `address ${quoted(text)}: ${fault}; give an address that a machine has`);
  return undefined;
}

function faultOf(address: IpAddress): string | undefined {
  return familyOf(address) === 4 ? faultOfIpv4(address) : faultOfIpv6(address);
}

function faultOfIpv4(address: IpAddress): string | undefined {
  const first = Number.parseInt(address, 10);
  if (first === 0) return 'is unspecified';
  if (first === 127) return 'is a loopback address';
  if (first >= 224 && first <= 239) return 'is a multicast address';
  if (address === '255.255.255.255') return 'is the broadcast address';
  return undefined;
}

function faultOfIpv6(address: IpAddress): string | undefined {
  if (address === '::') return 'is unspecified';
  if (address === '::1') return 'is the loopback address';
  if (/^ff..:/.test(address)) return 'is a multicast address';
  if (/^fe[89ab].:/.test(address)) return 'is link-local';
  if (/^::ffff:[0-9a-f]+:[0-9a-f]+$/.test(address)) return 'is an IPv4 address in IPv6 notation';
  return undefined;
}
