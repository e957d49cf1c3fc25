// Offloads and queues that get into the way of forwarding, or leave CPUs idle.

import type { Code } from '../catalogue.ts';
import { type Check, fine, found, unknown } from '../check.ts';
import { atPeer, type Interface, type Offload } from './interface.ts';

/** For both planes: merged packets are bad for forwarding, too. */
export function judgeMerging({ name, offloads }: Interface): readonly Check[] {
  if (offloads === undefined) return [];
  return [
    judgeOffload('LRO_ON', name, 'large receive offload', 'lro', offloads.lro),
    judgeOffload('GRO_HW_ON', name, 'hardware GRO', 'rx-gro-hw', offloads.groHardware),
  ];
}

function judgeOffload(
  code: Code,
  link: string,
  what: string,
  feature: string,
  { on, fixed }: Offload,
): Check {
  if (!on) return fine(code, link, `${what} is off`);
  const remedy = fixed
    ? `the driver does not let it go: switch it off where the card is made (for virtio, on the hypervisor: guest_tso4=off,guest_tso6=off,guest_ufo=off)`
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

/** Receive queues against CPUs, and what XDP needs besides. */
export function judgeQueues(one: Interface, cpus: number, xdp: boolean): readonly Check[] {
  const { name, channels, driver } = one;
  if (channels === undefined) return [];
  const combined = channels.combined.most > 0;
  const { now, most } = combined ? channels.combined : channels.receive;
  if (most === 0) return [];
  const useful = Math.min(cpus, most);
  const sharing = xdp && driver === 'virtio_net';
  const checks = sharing ? judgeSendQueues(name, now, most, cpus) : [];
  // More would take the send queues of XDP away.
  if (now >= useful || checks.some(({ status }) => status !== 'ok') || (sharing && useful + cpus > most)) {
    return [fine('QUEUES_FEW', name, `${now} of ${most} receive queues for ${cpus} CPUs`), ...checks];
  }
  const message = `${now} receive ${now === 1 ? 'queue' : 'queues'} for ${cpus} CPUs, while it has up to ${most}`;
  const remedy = `ethtool -L ${name} ${combined ? 'combined' : 'rx'} ${useful}`;
  return [found('QUEUES_FEW', name, message, remedy, one.physical ? 'warning' : 'info'), ...checks];
}

function judgeSendQueues(name: string, now: number, most: number, cpus: number): readonly Check[] {
  const code = 'XDP_QUEUES_SHARED';
  if (now + cpus <= most)
    return [fine(code, name, `${now} queue pairs in use and ${cpus} for XDP, of ${most}`)];
  const message = `${now} in use for receiving and one for each of ${cpus} CPUs make more than its ${most} queue pairs`;
  const remedy =
    most > cpus
      ? `ethtool -L ${name} combined ${most - cpus}`
      : `give the machine more queue pairs: ${2 * cpus} (QEMU: queues=${2 * cpus} for the netdev, mq=on for the device)`;
  return [found(code, name, message, remedy)];
}
