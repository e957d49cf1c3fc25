// Which interfaces take redirected frames, where the kernel does not tell: by the driver, and of a veth by its peer. Pure.
import type { DriverFeatures, Link, XdpFeatures } from './model.ts';

/**
 * ethtool's names of drivers that take redirected frames whenever a program is attached, by the sources of Linux 6.1. A driver
 * that is not among them may: but it would drop them without a word if not.
 */
const sendingDrivers: ReadonlySet<string> = new Set([
  'atlantic',
  'bnxt_en',
  'ena',
  'fsl_dpaa2_eth',
  'fsl_enetc',
  'hv_netvsc',
  'i40e',
  'ice',
  'igb',
  'igc',
  'ixgbe',
  'mlx5_core',
  'mvneta',
  'mvpp2',
  'netsec',
  'qede',
  'sfc',
  'st_gmac',
  'tun',
  'virtio_net',
]);

export interface Looks {
  /** As ethtool names it. */
  driver(link: Link): string | undefined;
  /** Whether frames sent to a veth's other end are taken there; undefined where it is out of reach. */
  peerTakes(link: Link): boolean | undefined;
}

/** Of those that a program may be on. Before Linux 6.3 no frame of more than a page is redirected anywhere. */
export function deduceFeatures(links: readonly Link[], looks: Looks): XdpFeatures {
  const features = new Map<number, DriverFeatures>();
  for (const link of links) {
    if (!link.ethernet || (link.kind !== undefined && link.kind !== 'veth' && link.kind !== 'tun')) continue;
    const doubt =
      link.kind === 'veth' ? doubtOfPeer(looks.peerTakes(link)) : doubtOfDriver(looks.driver(link));
    features.set(link.index, {
      sends: doubt === undefined,
      sendsLarge: false,
      ...(doubt !== undefined && doubt !== '' && { doubt }),
    });
  }
  // A bond gives what is sent to it to one of its ports.
  for (const { index, kind } of links) {
    if (kind !== 'bond') continue;
    const ports = links.filter(({ master }) => master === index);
    const unfit = ports.map((port) => features.get(port.index)).find((one) => one?.sends !== true);
    const sends = ports.length > 0 && unfit === undefined;
    features.set(index, unfit ?? { sends, sendsLarge: false });
  }
  return features;
}

/** Empty: no doubt that it does not. */
function doubtOfPeer(takes: boolean | undefined): string | undefined {
  if (takes === true) return undefined;
  return takes === false
    ? ''
    : 'its peer is out of reach, and this kernel does not tell whether it takes redirected frames';
}

function doubtOfDriver(driver: string | undefined): string | undefined {
  if (driver !== undefined && sendingDrivers.has(driver)) return undefined;
  const which = driver === undefined ? 'it has no driver that could be asked' : `its driver is ${driver}`;
  return `${which}, of which this kernel does not tell whether it takes redirected frames`;
}
