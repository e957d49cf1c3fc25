// Whether an interface can carry the XDP plane at full speed: program, driver, MTU, what stands above and below it.
import { asRoot, type Check, fine, found, unknown } from '../check.ts';

export interface Offload {
  readonly on: boolean;
  /** The driver lets nobody change it. */
  readonly fixed: boolean;
}

export interface Offloads {
  readonly lro: Offload;
  readonly groHardware: Offload;
  readonly gro: Offload;
  readonly receiveVlan: Offload;
  readonly sendChecksum: Offload;
}

export interface Count {
  readonly now: number;
  readonly most: number;
}

/** Queues, as the driver pairs them: receive queues alone, or combined with send queues. */
export interface Channels {
  readonly receive: Count;
  readonly combined: Count;
}

export interface XdpFeatures {
  readonly native: boolean;
  /** Frames of other interfaces may be sent from it. */
  readonly transmit: boolean;
  /** Frames of several pages. */
  readonly jumbo: boolean;
}

/** The other end of a veth. */
export interface Peer {
  readonly name: string;
  /** As ip(8) names it; empty for the same one. */
  readonly namespace: string;
  readonly offloads?: Offloads;
}

export interface AttachedProgram {
  readonly id: number;
  readonly name: string;
  /** In the driver, or behind it. */
  readonly mode: 'native' | 'generic';
  /** The bpf_link that holds it. */
  readonly link?: number;
}

export interface Interface {
  readonly name: string;
  readonly ifindex: number;
  /** As ip(8) has it, such as `vlan`, `bond`, `veth`; empty for hardware. */
  readonly kind: string;
  readonly driver: string;
  /** In bytes. */
  readonly mtu: number;
  readonly up: boolean;
  /** Some route leads through it. */
  readonly routed: boolean;
  /** Stands for a device of a bus. */
  readonly physical: boolean;
  /** The interface that a VLAN stands on; empty for none. */
  readonly below: string;
  /** The bond or bridge that it belongs to; empty for none. */
  readonly master: string;
  /** Of a bond, such as `802.3ad`. */
  readonly bondMode: string;
  /** A bridge that hands its packets to netfilter, whatever the host's setting. */
  readonly bridgeNetfilter: boolean;
  readonly program?: AttachedProgram;
  /** Absent where the kernel does not tell. */
  readonly xdp?: XdpFeatures;
  /** What is known all the same of whether frames of other interfaces may be sent from it. Absent where the kernel tells. */
  readonly deduced?: { readonly sends: boolean; readonly doubt?: string };
  readonly offloads?: Offloads;
  readonly channels?: Channels;
  /** By which the kernel's stack sends: of virtio_net's pairs those that it has not set aside for XDP. Absent elsewhere. */
  readonly sendQueues?: number;
  /** Absent for all but veth, and where it is out of reach. */
  readonly peer?: Peer;
}

/** What the interfaces are judged against. */
export interface Surroundings {
  readonly all: readonly Interface[];
  /** Programs that are Penstock's. */
  readonly ownPrograms: ReadonlySet<number>;
  /** In bytes. */
  readonly pageSize: number;
}

/** Drivers with native XDP, for kernels that do not tell (before 6.3): the kernel's documentation and sources. */
const nativeDrivers = new Set(
  (
    'atlantic bnxt_en bonding cpsw dpaa2-eth ena enetc fec gve hv_netvsc i40e iavf ice igb igc ixgbe ixgbevf ' +
    'lan966x-switch mana mlx4_en mlx5_core mtk_soc_eth mvneta mvpp2 netsec nfp qede sfc stmmac thunder-nicvf ti-cpsw ' +
    'tsnep tun veth virtio_net vmxnet3 xen-netfront'
  ).split(' '),
);

/** struct xdp_frame with its headroom, and struct skb_shared_info, take this much of the page, and Ethernet 14 to 22. */
const takenOfPage = 256 + 320 + 22;

/** All that concerns XDP on one interface. */
export function judgeXdpInterface(one: Interface, surroundings: Surroundings): readonly Check[] {
  return [
    ...judgeProgram(one, surroundings.ownPrograms),
    ...judgeStack(one, surroundings.all),
    ...judgeDriver(one),
    ...judgeTransmit(one),
    ...judgeMtu(one, surroundings.pageSize),
  ];
}

function judgeProgram({ name, program }: Interface, own: ReadonlySet<number>): readonly Check[] {
  const code = 'XDP_FOREIGN_PROGRAM';
  if (program === undefined) return [fine(code, name, 'no XDP program is attached')];
  const which = `the XDP program ${program.name === '' ? '' : `“${program.name}” `}(id ${program.id})`;
  if (own.has(program.id)) return [fine(code, name, `${which} is Penstock’s`)];
  const remedy =
    program.link === undefined ? `ip link set dev ${name} xdp off` : `bpftool link detach id ${program.link}`;
  return [found(code, name, `${which} of somebody else is attached`, remedy)];
}

function judgeStack(one: Interface, all: readonly Interface[]): readonly Check[] {
  const { name, kind } = one;
  switch (kind) {
    case 'bridge': {
      const ports = all.filter(({ master }) => master === name);
      const port = ports.length === 1 ? (ports[0]?.name ?? '') : '';
      return [
        found(
          'XDP_ON_BRIDGE',
          name,
          `a bridge of ${ports.length} ports`,
          port === ''
            ? 'route through an interface that is no bridge'
            : `ip link set dev ${port} nomaster, and give its addresses to ${port}`,
        ),
      ];
    }
    case 'vlan': {
      const parent = all.find((candidate) => candidate.name === one.below);
      const checks = [
        found(
          'XDP_ON_VLAN',
          name,
          `a VLAN of ${one.below || 'an interface elsewhere'}`,
          `penstock agent --dataplane xdp --interface ${one.below}`,
          'info',
        ),
      ];
      return parent?.offloads?.receiveVlan.on === true
        ? [
            ...checks,
            found(
              'VLAN_TAG_STRIPPED',
              parent.name,
              `it takes VLAN tags off, and ${name} stands on it`,
              `ethtool -K ${parent.name} rxvlan off`,
            ),
          ]
        : checks;
    }
    case 'bond':
      return [judgeBond(one, all)];
    default:
      return [];
  }
}

const bondModes = new Set(['balance-rr', 'active-backup', 'balance-xor', '802.3ad']);

function judgeBond({ name, bondMode }: Interface, all: readonly Interface[]): Check {
  const ports = all.filter(({ master }) => master === name);
  const lacking = ports.filter((port) => !isNative(port)).map((port) => port.name);
  if (!bondModes.has(bondMode)) {
    return found(
      'BOND_WITHOUT_XDP',
      name,
      `a bond in the mode ${bondMode}, which has no native XDP`,
      // The mode of a bond changes while it is down and has no ports.
      [
        `ip link set dev ${name} down`,
        ...ports.map((port) => `ip link set dev ${port.name} nomaster`),
        `ip link set dev ${name} type bond mode active-backup`,
        ...ports.map((port) => `ip link set dev ${port.name} master ${name}`),
        `ip link set dev ${name} up`,
      ].join('; '),
    );
  }
  if (lacking.length > 0) {
    return found(
      'BOND_WITHOUT_XDP',
      name,
      `a bond whose ports ${lacking.join(', ')} have no native XDP`,
      lacking.map((port) => `ip link set dev ${port} nomaster`).join('; '),
    );
  }
  return fine('BOND_WITHOUT_XDP', name, `a bond in the mode ${bondMode} of ports that all have native XDP`);
}

function isNative({ xdp, driver }: Interface): boolean {
  return xdp?.native ?? nativeDrivers.has(driver);
}

function judgeDriver(one: Interface): readonly Check[] {
  const { name, driver, kind } = one;
  const code = 'XDP_GENERIC_ONLY';
  // Said already, with what to do about it.
  if (['bridge', 'vlan', 'bond'].includes(kind)) return [];
  if (isNative(one)) return [fine(code, name, `the driver ${driver || kind} has native XDP`)];
  if (driver === '' && one.xdp === undefined) {
    return [unknown(code, name, { reason: 'the driver cannot be asked', remedy: asRoot })];
  }
  if (kind === 'veth' && one.xdp !== undefined && one.channels !== undefined) {
    const remedy = `ethtool -L ${name} rx ${one.channels.receive.most}`;
    return [found(code, name, 'this veth has fewer receive queues than its peer has send queues', remedy)];
  }
  return [
    found(
      code,
      name,
      `the driver ${driver || kind} has no native XDP`,
      'use another network card, or run the agent with --dataplane nftables',
    ),
  ];
}

function judgeTransmit(one: Interface): readonly Check[] {
  const { name, kind, xdp, deduced } = one;
  if (!isNative(one) || (xdp === undefined && deduced === undefined)) return [];
  const code = 'XDP_TRANSMIT_MISSING';
  if (deduced?.doubt !== undefined) {
    const remedy =
      'boot a kernel that tells (Linux 6.3 or later); until then packets that leave here are routed';
    return [found(code, name, deduced.doubt, remedy, 'info')];
  }
  if (xdp?.transmit ?? deduced?.sends) return [fine(code, name, 'takes frames that XDP sends')];
  if (kind !== 'veth') {
    const message = `the driver ${one.driver} takes no frames that XDP sends from other interfaces`;
    const remedy =
      one.program === undefined
        ? 'some drivers take them as soon as a program is attached'
        : 'use another network card';
    return [found(code, name, message, remedy, one.program === undefined ? 'info' : 'warning')];
  }
  const message = 'the peer of this veth has GRO off, and no XDP program of its own: it drops what XDP sends';
  return [found(code, name, message, atPeer(one, 'gro on'))];
}

/** The command that changes an offload of the peer, where it is in reach. */
export function atPeer({ name, peer }: Interface, offload: string): string {
  if (peer === undefined)
    return `ethtool -K PEER ${offload}, where the peer of ${name} is (a container, usually)`;
  const command = `ethtool -K ${peer.name} ${offload}`;
  return peer.namespace === '' ? command : `ip netns exec ${peer.namespace} ${command}`;
}

function judgeMtu({ name, mtu, xdp, driver }: Interface, pageSize: number): readonly Check[] {
  const limit = pageSize - takenOfPage;
  const code = 'MTU_ABOVE_PAGE';
  if (mtu <= limit) return [fine(code, name, `MTU ${mtu}`)];
  if (xdp?.jumbo === true) return [fine(code, name, `MTU ${mtu}: the program for jumbo frames is used`)];
  const message = `MTU ${mtu} is above ${limit}, and ${driver} takes no frames of several pages`;
  return [found(code, name, message, `ip link set dev ${name} mtu ${limit}`)];
}
