// Puts the program on interfaces, and takes it off again.
import { setTimeout as pause } from 'node:timers/promises';
import { DataPlaneUnavailable } from '../dataplane.ts';
import type { Engine } from './engine.ts';
import { attach, plain, takeLargeFrames } from './kernel/attach.ts';
import { type Attachment, attachments } from './kernel/attachments.ts';
import { detach } from './kernel/detach.ts';
import { xdpState } from './kernel/interface.ts';
import type { PinDirectory } from './kernel/pin-directory.ts';
import type { Chosen } from './network/choose.ts';
import { onePage } from './network/devices.ts';

/** An interface that does not take the program. */
export interface Refusal {
  readonly name: string;
  readonly findings: DataPlaneUnavailable['findings'];
}

/** Ids of an engine's programs. */
export function idsOf({ program }: Engine): ReadonlySet<number> {
  return new Set([...program.programs.values()].map(({ id }) => id));
}

/** By index: where an engine's program runs. Well under a millisecond. */
export function runsOn(directory: PinDirectory, engine: Engine): ReadonlySet<number> {
  const ids = idsOf(engine);
  const running = attachments(directory).filter(({ program }) => ids.has(program));
  return new Set(running.map(({ ifindex }) => ifindex));
}

/** Where it runs already, it goes on undisturbed. Throws `KernelError`. */
export async function placeOn(
  directory: PinDirectory,
  engine: Engine,
  interfaces: readonly Chosen[],
): Promise<readonly Refusal[]> {
  const refused: Refusal[] = [];
  const running = runsOn(directory, engine);
  for (const { ifindex, name } of interfaces) {
    if (running.has(ifindex)) continue;
    try {
      await untilLeft(ifindex, directory, engine);
      attach(directory, engine.program, ifindex);
    } catch (error) {
      if (!(error instanceof DataPlaneUnavailable)) throw error;
      refused.push({ name, findings: error.findings });
    }
  }
  return refused;
}

/**
 * Where MTUs have grown above a page since the program was attached: puts the one for such frames in its place. Gives the
 * interfaces whose driver does not take it; they lose larger frames.
 */
export function fitTo(
  directory: PinDirectory,
  engine: Engine,
  interfaces: readonly Chosen[],
): readonly Chosen[] {
  const small = engine.program.programs.get(plain)?.id;
  const cramped = new Set(
    attachments(directory)
      .filter(({ mode, program }) => mode === 'native' && program === small)
      .map(({ ifindex }) => ifindex),
  );
  return interfaces
    .filter(({ ifindex, mtu }) => mtu > onePage && cramped.has(ifindex))
    .filter(({ ifindex }) => !takeLargeFrames(directory, engine.program, ifindex));
}

/** Takes the program off again wherever it was not before. */
export function withdraw(directory: PinDirectory, before: readonly Attachment[]): void {
  for (const { ifindex } of attachments(directory)) {
    if (!before.some((each) => each.ifindex === ifindex)) detach(directory, ifindex);
  }
}

/** The kernel takes a program off some milliseconds after somebody has removed the pin of its link. */
async function untilLeft(ifindex: number, directory: PinDirectory, engine: Engine): Promise<void> {
  if (attachments(directory).some((each) => each.ifindex === ifindex)) return;
  const ids = idsOf(engine);
  for (let waited = 0; waited < 500; waited += 10) {
    const { native, generic } = xdpState(ifindex);
    if (!ids.has(native) && !ids.has(generic)) return;
    await pause(10);
  }
}
