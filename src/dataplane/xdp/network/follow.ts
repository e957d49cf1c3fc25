// Keeps the maps true to the host's network: devices, VLANs, remembered next hops, and neighbours resolved.
import type { IpAddress } from '../../../resources/address.ts';
import type { MapElements } from '../kernel/map-elements.ts';
import type { MapMemory } from '../memory/map-memory.ts';
import { type Attached, type Devices, devicesOf } from './devices.ts';
import { type Elsewhere, elsewhereOf } from './elsewhere.ts';
import { type HopPolicy, hopPolicy, routesMax } from './hop-policy.ts';
import type { Network } from './model.ts';
import { keyOf } from './neighbour-plan.ts';
import { watchNeighbours } from './neighbours.ts';
import { watchNetwork } from './watch.ts';
import type { Hop } from './way.ts';
import { encodeVlan, writeDevices } from './write-devices.ts';
import { openHopWriter } from './write-hops.ts';

export interface FollowOptions {
  readonly control: MapMemory;
  readonly routes: MapMemory;
  readonly devices: MapMemory;
  /** The hash map `vlans`. Its content at the start may be an earlier agent's. */
  readonly vlans: Pick<MapElements, 'keys' | 'put' | 'delete'>;
  /** Resolves when no packet is under way that could have read what stood in the maps at the call. */
  readonly grace: () => Promise<void>;
  /** Where the program runs now. */
  readonly attached: () => readonly Attached[];
  /** Machines in use, which are kept resolved. */
  readonly machines: () => Iterable<IpAddress>;
  /** After each change of the network, when the maps are true to it. */
  readonly onChange?: (network: Network) => void | Promise<void>;
  readonly onTrouble: (error: unknown) => void;
}

export interface FollowedNetwork {
  readonly network: Network;
  readonly hops: Pick<HopPolicy, 'remember' | 'reason' | 'note'> & { readonly listed: number };
  /** Interfaces that packets leave by with the kernel's help only, by name and reason. */
  readonly slow: Devices['slow'];
  /** Interfaces that routes lead over, and where the program does not run: nftables forwards what goes or comes there. */
  readonly elsewhere: readonly string[];
  /** Machines and gateways on a link that are needed and do not answer, at most 10. */
  readonly unresolved: readonly IpAddress[];
  /** Attached interfaces have changed: resolves when the maps say so. */
  refresh(): Promise<void>;
  /** The maps stay as they are. */
  close(): void;
}

/** Resolves when the maps are true. In the network namespace of the calling thread. */
export async function followNetwork(options: FollowOptions): Promise<FollowedNetwork> {
  const hopWriter = openHopWriter(options, options.grace);
  let policy: HopPolicy = { remember: false, routes: [] };
  let elsewhere: Elsewhere = { prefixes: [], all: false, names: [] };
  let slow: Devices['slow'] = [];
  let gateways: readonly Hop[] = [];

  const apply = async (network: Network): Promise<void> => {
    const wanted = devicesOf(network, options.attached());
    const unplaced = writeDevices(options.devices, wanted.devices);
    const served = wanted.devices.filter((device) => !unplaced.includes(device));
    elsewhere = elsewhereOf(network, new Set(served.map(({ index }) => index)));
    policy = hopPolicy(network, routesMax - elsewhere.prefixes.length);
    const written = hopWriter.write(policy, elsewhere);
    gateways = gatewaysOf(network);
    writeVlans(options.vlans, wanted);
    slow = [...wanted.slow, ...unplaced.map(({ index }) => crowded(network, index))];
    await written;
  };
  const neighbours = await watchNeighbours({
    addresses: options.machines,
    hops: () => gateways,
    onTrouble: options.onTrouble,
  });
  const stop = (): void => {
    neighbours.close();
    hopWriter.close();
  };
  const watch = await watchNetwork({
    async onChange(network) {
      await apply(network);
      await options.onChange?.(network);
    },
    onTrouble: options.onTrouble,
  }).catch((error: unknown) => {
    stop();
    throw error;
  });
  try {
    await apply(watch.network);
  } catch (error) {
    watch.close();
    stop();
    throw error;
  }

  return {
    get network() {
      return watch.network;
    },
    get hops() {
      const { routes, ...rest } = policy;
      return { ...rest, listed: routes.length };
    },
    get slow() {
      return slow;
    },
    get elsewhere() {
      return elsewhere.names;
    },
    get unresolved() {
      return neighbours.unresolved;
    },
    refresh: () => watch.refresh(),
    close() {
      watch.close();
      stop();
    },
  };
}

/** Those of routes, by which clients are reached; several routes may name the same. */
function gatewaysOf({ routes }: Network): readonly Hop[] {
  const found = routes.flatMap(({ type, link, gateway }): readonly Hop[] =>
    type === 'unicast' && link !== undefined && gateway !== undefined ? [{ link, address: gateway }] : [],
  );
  return [...new Map(found.map((hop) => [keyOf(hop), hop])).values()];
}

function writeVlans(map: FollowOptions['vlans'], { vlans }: Devices): void {
  const wanted = new Map(vlans.map(encodeVlan).map((entry) => [entry.key.toString('hex'), entry] as const));
  for (const key of [...map.keys()]) if (!wanted.has(key.toString('hex'))) map.delete(key);
  for (const { key, value } of wanted.values()) map.put(key, value);
}

function crowded({ links }: Network, index: number): Devices['slow'][number] {
  const name = links.find((link) => link.index === index)?.name ?? String(index);
  return {
    name,
    reason: 'too many interfaces with like indices: flows over this one are left to nftables',
  };
}
