// Offloads and queues that get into the way of forwarding, or leave CPUs idle.

import type { Code } from '../catalogue.ts';
import { type Check, fine, found, unknown } from '../check.ts';
import { atPeer, type Interface, type Offload } from './interface.ts';

/** For both planes: merged packets are bad for forwarding, too. */
export function judgeMerging(one: Interface): readonly Check[] {
  const { name, offloads } = one;
  if (offloads === undefined) return [];
  return [
    judgeOffload('LRO_ON', name, 'large receive offload', 'lro', offloads.lro),
    switchesOffItself(one)
      ? fine(
          'GRO_HW_ON',
          name,
          'virtio_net has switched hardware GRO off for the program, though it is shown as on',
        )
      : judgeOffload('GRO_HW_ON', name, 'hardware GRO', 'rx-gro-hw', offloads.groHardware),
  ];
}

/** While a program is attached, virtio_net neither merges nor lets ethtool change what it shows. */
function switchesOffItself({ driver, program, offloads }: Interface): boolean {
  return driver === 'virtio_net' && program?.mode === 'native' && offloads?.groHardware.on === true;
}

/** All that virtio_net looks at before it takes a program, where it cannot switch them off itself. */
const guestOffloads = 'guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off';

function judgeOffload(
  code: Code,
  link: string,
  what: string,
  feature: string,
  { on, fixed }: Offload,
): Check {
  if (!on) return fine(code, link, `${what} is off`);
  const remedy = fixed
    ? `the driver does not let it go: switch it off where the card is made (for virtio, on the hypervisor: QEMU ${guestOffloads}; libvirt <driver><guest csum='off' tso4='off' tso6='off' ecn='off' ufo='off'/></driver>)`
    : `ethtool -K ${link} ${feature} off`;
  return found(code, link, `${what} is on`, remedy);
}

/** A veth's peer hands over frames whose checksums a card ought to finish; there is none. */
export function judgeVethChecksum(one: Interface): readonly Check[] {
  if (one.kind !== 'veth') return [];
  const code = 'VETH_TX_CHECKSUM';
  const checksum = one.peer?.offloads?.sendChecksum;
  if (checksum === undefined) {
    const remedy = atPeer(one, 'tx off');
    return [unknown(code, one.name, { reason: 'the peer of this veth cannot be asked', remedy })];
  }
  if (!checksum.on) return [fine(code, one.name, 'the peer finishes its checksums')];
  return [found(code, one.name, 'the peer of this veth leaves checksums to the card', atPeer(one, 'tx off'))];
}

/** Of the machine. */
export interface Cpus {
  /** That work. */
  readonly online: number;
  /** That the kernel has set itself up for: others may be plugged in. */
  readonly possible: number;
}

/** Receive queues against CPUs, and what XDP needs besides. */
export function judgeQueues(one: Interface, cpus: Cpus, xdp: boolean): readonly Check[] {
  const { name, channels, driver } = one;
  if (channels === undefined) return [];
  const combined = channels.combined.most > 0;
  const { now, most } = combined ? channels.combined : channels.receive;
  if (most === 0) return [];
  const useful = Math.min(cpus.online, most);
  const sharing = xdp && driver === 'virtio_net';
  const checks = sharing ? judgeSendQueues(one, one.sendQueues ?? now, most, cpus) : [];
  // More would take the send queues of XDP away.
  const enough = now >= useful || checks.some(({ status }) => status !== 'ok');
  if (enough || (sharing && useful + cpus.possible > most)) {
    return [fine('QUEUES_FEW', name, `${now} of ${most} receive queues for ${cpus.online} CPUs`), ...checks];
  }
  const message = `${now} receive ${now === 1 ? 'queue' : 'queues'} for ${cpus.online} CPUs, while it has up to ${most}`;
  const remedy = setQueues(one, `${combined ? 'combined' : 'rx'} ${useful}`);
  return [found('QUEUES_FEW', name, message, remedy, one.physical ? 'warning' : 'info'), ...checks];
}

function judgeSendQueues(one: Interface, now: number, most: number, { possible }: Cpus): readonly Check[] {
  const { name } = one;
  const code = 'XDP_QUEUES_SHARED';
  if (now + possible <= most)
    return [fine(code, name, `${now} queue pairs in use and ${possible} for XDP, of ${most}`)];
  // With more than CPUs the driver would send by queues that it does not have: see `attach`.
  const left = now > possible ? ', so nftables alone forwards what comes in by it' : '';
  const message = `${now} in use for receiving and one for each of ${possible} CPUs make more than its ${most} queue pairs${left}`;
  const remedy =
    most > possible
      ? setQueues(one, `combined ${most - possible}`)
      : `give the machine more queue pairs: ${2 * possible} (QEMU: queues=${2 * possible} for the netdev, mq=on for the device; libvirt: <driver name='vhost' queues='${2 * possible}'/>)`;
  return [found(code, name, message, remedy)];
}

/** While a program is attached, virtio_net refuses to change its queues. */
function setQueues({ name, driver, program }: Interface, queues: string): string {
  const command = `ethtool -L ${name} ${queues}`;
  return driver === 'virtio_net' && program?.mode === 'native'
    ? `systemctl stop penstock; penstock flush; ${command}; systemctl start penstock`
    : command;
}
