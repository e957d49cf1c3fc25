// How single values read: endpoints, counts, times, and names that came from elsewhere.
import type { Answer } from '../../wire/client.ts';

type PortMapping = Answer<'PortMapping'>;

/** `10.0.0.1:500`, `[fd00::1]:500`. */
export function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `tcp`, `udp`, `all`; empty where none is said. */
export function protocolName(protocol: number): string {
  // Not from the generated messages, whose loading `--help` must not wait for.
  return ['', 'tcp', 'udp', 'all'][protocol] ?? String(protocol);
}

/** `10.0.0.1:500/tcp`; port 0 is every port. */
export function frontendEndpoint(mapping: PortMapping): string {
  const { frontendAddress, frontendPort, protocol } = mapping;
  const place =
    frontendPort === 0 ? `${frontendAddress} (all ports)` : endpoint(frontendAddress, frontendPort);
  return protocol === 0 ? place : `${place}/${protocolName(protocol)}`;
}

export function backendEndpoint(mapping: PortMapping): string {
  if (mapping.backendAddress === '') return '-';
  return mapping.backendPort === 0
    ? mapping.backendAddress
    : endpoint(mapping.backendAddress, mapping.backendPort);
}

/** `10.0.0.1:500/tcp -> vm-1 (10.1.0.4:22)`. */
export function mappingText(mapping: PortMapping): string {
  const backend = backendEndpoint(mapping);
  const member =
    mapping.member === '' || mapping.member === mapping.backendAddress ? '' : plainText(mapping.member);
  const target = member === '' ? backend : `${member} (${backend})`;
  return `${frontendEndpoint(mapping)} -> ${target}`;
}

/** 12,345. */
export function count(number: number): string {
  return number.toLocaleString('en-US');
}

/** `1 port`, `3,000 ports`. */
export function counted(number: number, thing: string): string {
  return `${count(number)} ${thing}${number === 1 ? '' : 's'}`;
}

/** Bytes as people read them: `512 B`, `1.5 MiB`. */
export function byteCount(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
  let size = bytes / 1024;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size.toFixed(1)} ${units[unit] ?? ''}`;
}

interface Seconds {
  readonly seconds?: number | null;
  readonly nanos?: number | null;
}

/** A point in time in UTC, to the second; `-` where there is none. */
export function time(timestamp: Seconds | null | undefined): string {
  if (timestamp === null || timestamp === undefined) return '-';
  return new Date((timestamp.seconds ?? 0) * 1000).toISOString().replace('.000Z', 'Z');
}

/** How long ago, coarsely: `45s`, `12m`, `3h`, `6d`; `-` where there is no time. */
export function age(timestamp: Seconds | null | undefined, now: number): string {
  if (timestamp === null || timestamp === undefined) return '-';
  return span(Math.max(0, Math.floor(now / 1000 - (timestamp.seconds ?? 0))));
}

/** How long until then: `in 45s`, `ended`; `-` where there is no time. */
export function remaining(timestamp: Seconds | null | undefined, now: number): string {
  if (timestamp === null || timestamp === undefined) return '-';
  const seconds = Math.ceil((timestamp.seconds ?? 0) + (timestamp.nanos ?? 0) / 1e9 - now / 1000);
  return seconds <= 0 ? 'ended' : `in ${span(seconds)}`;
}

function span(seconds: number): string {
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** Text from elsewhere with control characters made visible, so that it cannot steer a terminal. */
export function plainText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}
