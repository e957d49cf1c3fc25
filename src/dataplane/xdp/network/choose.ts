// On which interfaces the program is to run: those that are named, or all that carry traffic. Pure.
import type { Link, Network } from './model.ts';
import { table } from './model.ts';

export interface Chosen {
  readonly ifindex: number;
  readonly name: string;
  /** In bytes, without the Ethernet header. */
  readonly mtu: number;
}

export interface Choice {
  readonly interfaces: readonly Chosen[];
  /** Interfaces that carry traffic, which the nftables plane alone will forward; for the status and the log. */
  readonly passedOver: readonly { readonly name: string; readonly reason: string }[];
  /** VLAN interfaces that were asked for, and those below them, which run the program in their place. */
  readonly inPlace: readonly { readonly name: string; readonly below: string }[];
}

/** A name that is not an interface of this host, or one that the program can never run on. */
export class InterfaceError extends Error {
  override readonly name = 'InterfaceError';
}

/**
 * Devices at whose wire frames arrive just as they are; a network card has no kind. A bond hands the program on to its
 * ports (Linux 5.15), or says why not.
 */
const physicalKinds: readonly (string | undefined)[] = [undefined, 'veth', 'tun', 'netdevsim', 'bond'];

/**
 * `auto`: every interface with an address of a network or with a route, and the interfaces below VLAN devices. Named ones
 * are taken as they are, VLAN devices as what they sit on. Throws InterfaceError.
 */
export function chooseInterfaces(network: Network, wanted: readonly string[] | 'auto'): Choice {
  const chosen = new Map<number, Link>();
  const passedOver = new Map<string, string>();
  const inPlace: { name: string; below: string }[] = [];
  for (const link of wanted === 'auto' ? carriers(network) : wanted.map((name) => named(network, name))) {
    const below = belowVlans(network, link);
    if (typeof below === 'string') passedOver.set(link.name, below);
    else chosen.set(below.index, below);
    if (wanted !== 'auto' && typeof below !== 'string' && below !== link) {
      inPlace.push({ name: link.name, below: below.name });
    }
  }
  return {
    interfaces: [...chosen.values()]
      .toSorted((a, b) => a.index - b.index)
      .map(({ index, name, mtu }) => ({ ifindex: index, name, mtu })),
    passedOver: [...passedOver].map(([name, reason]) => ({ name, reason })),
    inPlace,
  };
}

function named({ links }: Network, name: string): Link {
  const link = links.find((one) => one.name === name);
  if (link?.loopback)
    throw new InterfaceError(`${name} is the loopback interface, which no packets arrive by`);
  if (link !== undefined) return link;
  const names = links.filter(({ loopback }) => !loopback).map((one) => one.name);
  throw new InterfaceError(`there is no interface ${name}; this host has ${names.join(', ') || 'none'}`);
}

/** Interfaces that packets to or from others pass. */
function carriers({ links, addresses, routes }: Network): readonly Link[] {
  const found = new Set<number>();
  for (const { link, address, length } of addresses) {
    // Every interface has a link-local one, whether it is used or not (RFC 4291, 2.5.6).
    const host = length === (address.includes(':') ? 128 : 32);
    if (!host && !address.startsWith('fe80:')) found.add(link);
  }
  for (const { link, type, table: number, destination } of routes) {
    const serves = type === 'unicast' && number !== table.local && !/^(fe80:|ff)/.test(destination);
    if (serves && link !== undefined) found.add(link);
  }
  return links.filter((link) => found.has(link.index) && !link.loopback);
}

/** What a VLAN device sits on, the link itself for any other; or why the program cannot run there. */
function belowVlans({ links }: Network, link: Link): Link | string {
  let below = link;
  for (let depth = 0; below.kind === 'vlan'; depth += 1) {
    const parent = links.find(({ index }) => index === below.parent);
    if (parent === undefined) return 'the interface that it sits on is in another network namespace';
    if (depth === 2) return 'it has more than two VLAN tags';
    below = parent;
  }
  const reason = unfit(links, below);
  return reason === undefined ? below : below === link ? reason : `it sits on ${below.name}: ${reason}`;
}

function unfit(links: readonly Link[], link: Link): string | undefined {
  if (link.kind === 'bridge' || link.kind === 'team') {
    const ports = links.filter(({ master }) => master === link.index).map(({ name }) => name);
    const of = ports.length === 0 ? '' : ` of ${ports.join(', ')}`;
    return `a ${link.kind}${of}, which packets do not pass in the driver's receive path`;
  }
  if (!link.ethernet) return 'it carries no Ethernet frames';
  if (!physicalKinds.includes(link.kind)) return `a virtual interface (${link.kind}) without a wire`;
  const master = links.find(({ index }) => index === link.master);
  return master === undefined ? undefined : `a port of ${master.name}: its packets belong to that`;
}
