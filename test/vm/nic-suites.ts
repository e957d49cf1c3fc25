// XDP on network cards: the tests in test/guest/nics, each with the cards that it needs.
import type { Suite } from './suites.ts';

function suite(name: string, files: readonly string[], cards: Partial<Suite>): Suite {
  return {
    name: `nics-${name}`,
    needs: ['xdp'],
    projects: ['guest'],
    files: files.map((file) => `test/guest/nics/${file}.`),
    timeout: 1800,
    ...cards,
  };
}

/** Cards of other drivers at the odd numbers, wired as those of the runner are. */
function otherCards(drivers: readonly string[]): readonly string[] {
  return drivers.flatMap((driver, index) =>
    [driver, 'virtio-net-pci'].flatMap((device, side) => {
      const number = 2 * index + side + 1;
      return [
        ...['-netdev', `hubport,id=nic${number},hubid=${index + 1}`],
        ...['-device', `${device},netdev=nic${number},mac=52:54:00:00:00:0${number},romfile=`],
      ];
    }),
  );
}

export const nicSuites: readonly Suite[] = [
  suite('virtio', ['driver-mode', 'life'], { nics: 4 }),
  suite('queues', ['queues'], { nics: 4, queues: 3, cpus: 2 }),
  suite('offloads', ['offloads'], {
    nics: 4,
    queues: 4,
    qemu: ['-global', 'virtio-net-pci.ctrl_guest_offloads=off'],
  }),
  suite('others', ['others'], { qemu: otherCards(['vmxnet3', 'vmxnet3', 'e1000e', 'e1000e']) }),
];
