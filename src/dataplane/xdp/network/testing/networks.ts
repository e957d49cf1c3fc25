// Readings of networks for unit tests, without a kernel.
import type { IpAddress } from '../../../../resources/address.ts';
import type { Link, Network, Route } from '../model.ts';

export const nothing: Network = {
  links: [],
  addresses: [],
  rules: [],
  routes: [],
  routesCut: false,
  features: new Map(),
  deduced: false,
};

/** A network card, up, unless told otherwise. */
export function link(index: number, name: string, rest: Partial<Link> = {}): Link {
  return {
    index,
    name,
    mac: `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`,
    mtu: 1500,
    ethernet: true,
    loopback: false,
    up: true,
    operationalState: 6,
    xdp: 'none',
    ...rest,
  };
}

export function vlan(index: number, name: string, parent: number, id: number, protocol = 0x8100): Link {
  return link(index, name, { kind: 'vlan', parent, vlan: { id, protocol } });
}

/** `to` is a prefix; in the main table, by interface 2, unless told otherwise. */
export function route(to: string, rest: Partial<Route> & { readonly via?: string } = {}): Route {
  const [destination = '', length] = to.split('/');
  const { via, ...other } = rest;
  return {
    family: to.includes(':') ? 6 : 4,
    table: 254,
    type: 'unicast',
    destination: destination as IpAddress,
    length: Number(length),
    metric: 0,
    link: 2,
    ...(via !== undefined && { gateway: via as IpAddress }),
    multipath: false,
    selective: false,
    unusual: false,
    dead: false,
    doubtful: false,
    ...other,
  };
}
