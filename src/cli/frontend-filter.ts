// A frontend as an option names it: an address, perhaps with a port.
import { isIP } from 'node:net';
import { InvalidArgumentError } from 'commander';

export interface FrontendFilter {
  readonly address: string;
  /** 0 for every port. */
  readonly port: number;
}

/** `203.0.113.10`, `203.0.113.10:500`, `2001:db8::1`, `[2001:db8::1]:500`. */
export function frontendFilter(text: string): FrontendFilter {
  if (isIP(text) !== 0) return { address: text, port: 0 };
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:]+))(?::(?<port>\d{1,5}))?$/.exec(text);
  const address = match?.groups?.v6 ?? match?.groups?.v4 ?? '';
  const port = Number(match?.groups?.port ?? 0);
  const wrongPort = match?.groups?.port !== undefined && (port < 1 || port > 65_535);
  if (isIP(address) === 0 || wrongPort) {
    throw new InvalidArgumentError('It must be an address, or ADDRESS:PORT, [IPv6]:PORT.');
  }
  return { address, port };
}
