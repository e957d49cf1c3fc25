// What `status` shows of the interfaces and of the network around them.
import type { InterfaceReport, PlaneReport } from '../dataplane.ts';
import type { Engine } from './engine.ts';
import type { Attachment } from './kernel/attachments.ts';
import { type QueuePairs, queuePairsOf } from './kernel/interface.ts';
import type { Choice, Chosen } from './network/choose.ts';
import { onePage } from './network/devices.ts';
import type { FollowedNetwork } from './network/follow.ts';
import { possibleCpus } from './settings.ts';

/** An interface that the program is not on, and why. */
export interface Without {
  readonly name: string;
  readonly reason: string;
}

export interface Present {
  readonly attached: readonly Attachment[];
  readonly without: readonly Without[];
  readonly inPlace: Choice['inPlace'];
  /** Those with an MTU that their driver does not take together with the program. */
  readonly cramped: readonly Chosen[];
  readonly network: FollowedNetwork;
}

export function presenceReport(
  { program }: Engine,
  { attached, without, inPlace, cramped, network }: Present,
): Pick<PlaneReport, 'interfaces' | 'notes'> {
  const frags = program.programs.get('penstock_frags')?.id;
  const on = attached.map(
    (each): InterfaceReport => ({
      name: each.name,
      mode: each.mode,
      driver: each.driver ?? '',
      reason: each.reason ?? '',
      program: each.program,
      multiBuffer: each.program === frags,
    }),
  );
  const off = without.map(
    ({ name, reason }): InterfaceReport => ({
      name,
      mode: 'off',
      driver: '',
      reason,
      program: 0,
      multiBuffer: false,
    }),
  );
  const instead = inPlace.map(
    ({ name, below }) => `the program for ${name} runs on ${below}, where it reads the VLAN tags itself`,
  );
  const queues = attached.flatMap((one) => sharedQueues(one, queuePairsOf(one.name), possibleCpus()));
  return {
    interfaces: [...on, ...off],
    notes: [...instead, ...cramped.map(crampedText), ...queues, ...notesOf(network)],
  };
}

/** Of an interface that goes on without the program for frames of several pages. */
export function crampedText({ name, mtu }: Chosen): string {
  return `${name}: its MTU has become ${mtu}, and its driver takes no program for frames of more than a page: larger ones are lost, or are not forwarded by XDP; ip link set dev ${name} mtu ${onePage}`;
}

/** A send queue for each CPU is what virtio_net wants, beside those that it receives by. */
export function sharedQueues(
  { name, driver, mode }: Pick<Attachment, 'name' | 'driver' | 'mode'>,
  pairs: QueuePairs | undefined,
  cpus: number,
): readonly string[] {
  if (driver !== 'virtio_net' || mode !== 'native' || pairs === undefined) return [];
  const { now, most } = pairs;
  if (now + cpus <= most) return [];
  return [
    `${name}: ${now} queue pairs in use and one for each of ${cpus} CPUs are more than its ${most}: virtio_net takes a lock for every frame that XDP sends; penstock doctor says what to do`,
  ];
}

function notesOf({ network, hops, slow, elsewhere, unresolved }: FollowedNetwork): readonly string[] {
  const notes: string[] = [];
  if (network.deduced) {
    notes.push(
      'this kernel does not tell which interfaces take redirected frames: known drivers do, and the peers of veths are looked at each second',
    );
  }
  if (!hops.remember) notes.push(`next hops are asked for with each packet: ${hops.reason ?? 'unknown'}`);
  if (hops.note !== undefined) notes.push(hops.note);
  if (elsewhere.length > 0) {
    notes.push(
      `flows to or from whom routes lead over ${someOf(elsewhere)} are left to nftables: no XDP program runs there`,
    );
  }
  for (const { name, reason } of slow) notes.push(`${name}: ${reason}`);
  if (unresolved.length > 0) notes.push(`these neighbours do not answer: ${unresolved.join(', ')}`);
  return notes;
}

/** A host may have very many interfaces. */
const namesMax = 5;

function someOf(names: readonly string[]): string {
  const others = names.length - namesMax;
  return others <= 0 ? names.join(', ') : `${names.slice(0, namesMax).join(', ')} and ${others} more`;
}
