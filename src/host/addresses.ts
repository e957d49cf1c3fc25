// Addresses of this host, through ip(8).
import { execa } from 'execa';
import { familyOf, type IpAddress, parseAddress } from '../resources/address.ts';

/** Frontend addresses live on the loopback interface: it is always there, always up, and no link announces them. */
export const frontendInterface = 'lo';

/** Every address of the host, or of one interface, with an interface that holds it. */
export async function listAddresses(link?: string): Promise<ReadonlyMap<IpAddress, string>> {
  const { stdout } = await execa('ip', [
    '-json',
    'address',
    'show',
    ...(link === undefined ? [] : ['dev', link]),
  ]);
  const found = new Map<IpAddress, string>();
  for (const link of parseLinks(stdout)) {
    for (const text of link.addresses) {
      const address = parseAddress(text);
      if (address !== undefined) found.set(address, link.name);
    }
  }
  return found;
}

/** Interfaces with an IPv6 default route learnt from router advertisements. */
export async function interfacesWithAdvertisedDefault(): Promise<readonly string[]> {
  const { stdout } = await execa('ip', ['-6', '-json', 'route', 'show', 'default', 'proto', 'ra']);
  return arrayOf(stdout).flatMap((route) => textField(route, 'dev') ?? []);
}

/** Adds addresses to the loopback interface, as one batch. Those already there are left as they are. */
export async function addAddresses(addresses: readonly IpAddress[]): Promise<void> {
  await batch(addresses.map((address) => `address replace ${hostPrefix(address)} dev ${frontendInterface}`));
}

/** Removes addresses from the loopback interface; those already gone are passed over. */
export async function removeAddresses(addresses: readonly IpAddress[]): Promise<void> {
  // Asked for by itself: another interface may hold the same address.
  const present = await listAddresses(frontendInterface);
  await batch(
    addresses
      .filter((address) => present.has(address))
      .map((address) => `address delete ${hostPrefix(address)} dev ${frontendInterface}`),
  );
}

async function batch(commands: readonly string[]): Promise<void> {
  if (commands.length === 0) return;
  await execa('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` });
}

function hostPrefix(address: IpAddress): string {
  // An IPv6 address would else be tentative, and deaf, for a second of duplicate address detection (RFC 4862).
  return familyOf(address) === 4 ? `${address}/32` : `${address}/128 nodad`;
}

interface Link {
  readonly name: string;
  readonly addresses: readonly string[];
}

function parseLinks(json: string): readonly Link[] {
  return arrayOf(json).flatMap((link) => {
    const name = textField(link, 'ifname');
    const infos = typeof link === 'object' && link !== null && 'addr_info' in link ? link.addr_info : [];
    if (name === undefined || !Array.isArray(infos)) return [];
    return [{ name, addresses: infos.flatMap((info: unknown) => textField(info, 'local') ?? []) }];
  });
}

function arrayOf(json: string): readonly unknown[] {
  const parsed: unknown = JSON.parse(json === '' ? '[]' : json);
  return Array.isArray(parsed) ? parsed : [];
}

function textField(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || !(name in value)) return undefined;
  const field: unknown = Reflect.get(value, name);
  return typeof field === 'string' ? field : undefined;
}
