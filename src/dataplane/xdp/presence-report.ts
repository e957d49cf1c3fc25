// What `status` shows of the interfaces and of the network around them.
import type { InterfaceReport, PlaneReport } from '../dataplane.ts';
import type { Engine } from './engine.ts';
import type { Attachment } from './kernel/attachments.ts';
import type { FollowedNetwork } from './network/follow.ts';

/** An interface that the program is not on, and why. */
export interface Without {
  readonly name: string;
  readonly reason: string;
}

export function presenceReport(
  { program }: Engine,
  attached: readonly Attachment[],
  without: readonly Without[],
  network: FollowedNetwork,
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
  return { interfaces: [...on, ...off], notes: notesOf(network) };
}

function notesOf({ hops, slow, unresolved }: FollowedNetwork): readonly string[] {
  const notes: string[] = [];
  if (!hops.remember) notes.push(`next hops are asked for with each packet: ${hops.reason ?? 'unknown'}`);
  if (hops.note !== undefined) notes.push(hops.note);
  for (const { name, reason } of slow) notes.push(`${name}: ${reason}`);
  if (unresolved.length > 0) notes.push(`these neighbours do not answer: ${unresolved.join(', ')}`);
  return notes;
}
