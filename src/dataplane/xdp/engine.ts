// The program in the kernel together with the picture of its memory: built, found again after a restart, or replaced.
import { randomBytes } from 'node:crypto';
import { attach } from './kernel/attach.ts';
import { detachMoved } from './kernel/detach-moved.ts';
import { gracePeriod } from './kernel/grace.ts';
import { loadProgram } from './kernel/load.ts';
import type { PinDirectory } from './kernel/pin-directory.ts';
import { names, pinnedLinks } from './kernel/pinned-links.ts';
import { pinProgram, runningPrograms, unpinProgram } from './kernel/pinned-programs.ts';
import { type LoadedProgram, settingsMap } from './kernel/program.ts';
import { Image } from './memory/image.ts';
import { control } from './memory/layout.ts';
import { type Memory, mapNames } from './memory/map-memory.ts';
import { entriesOf, type Shape } from './memory/shape.ts';
import { transplant } from './memory/transplant.ts';
import { Mismatch } from './memory/trouble.ts';
import type { ProgramObject } from './object.ts';
import { settingsOf } from './settings.ts';

export interface Engine {
  readonly program: LoadedProgram;
  readonly image: Image;
  /** Of its directory among the pins. */
  readonly number: number;
}

/** Packets pass through `control.gate` only when it is open. */
const gateOpen = 1;
/** Maps that are not memory of the agent's, and do not grow. */
const keptMaps = ['vlans', 'fragments', 'reasons'];
/** Locally administered and unicast (IEEE 802, 48-bit addresses: the two low bits of the first byte). */
const macBits = { clear: 0xfc, set: 0x02 } as const;

/**
 * What packets go through, as an earlier agent left it; with the program of this build in the place of an older one, over
 * the same maps. Absent where there is nothing, or nothing that this version can read: that goes on until `switchTo`.
 */
export async function findEngine(
  directory: PinDirectory,
  object: ProgramObject,
): Promise<Engine | undefined> {
  const running = await runningPrograms(directory);
  const last = running.at(-1);
  if (last === undefined) return undefined;
  for (const earlier of running.slice(0, -1)) earlier.program.close();
  try {
    const image = await readImage(last.program);
    const engine: Engine = { ...last, image };
    if (last.program.settings.build === object.build) {
      if (running.length > 1) await switchTo(directory, engine);
      return engine;
    }
    return await renewed(directory, engine, object);
  } catch (error) {
    last.program.close();
    if (error instanceof Mismatch) return undefined;
    throw error;
  }
}

/** A new program with empty maps and a closed gate, pinned, and not attached to anything. */
export async function buildEngine(
  directory: PinDirectory,
  object: ProgramObject,
  shape: Shape,
): Promise<Engine> {
  const program = await loadProgram({
    object: object.path,
    shape: entriesOf(shape),
    settings: settingsOf(shape, object.build),
  });
  return prepared(directory, program, async () => {
    Image.format(memoryOf(program), randomBytes(4).readInt32LE());
    randomMac().copy(controlBytes(program), control.mark);
    return readImage(program);
  });
}

/**
 * A new program over larger maps, with all that the old one knows, pinned and not attached yet. `follow` is to be called
 * once it runs everywhere. Nothing may be staged meanwhile.
 */
export async function growEngine(
  directory: PinDirectory,
  object: ProgramObject,
  old: Engine,
  shape: Shape,
): Promise<{ readonly engine: Engine; readonly follow: () => Promise<void> }> {
  const program = await loadProgram({
    object: object.path,
    shape: entriesOf(shape),
    settings: settingsOf(shape, object.build),
    reuse: { from: old.program, maps: keptMaps },
  });
  let follow = async (): Promise<void> => {};
  const engine = await prepared(directory, program, async () => {
    const moved = await transplant(old.image, memoryOf(program), { shards: shape.shards, gracePeriod });
    follow = moved.follow;
    return moved.image;
  });
  return { engine, follow };
}

/**
 * Puts an engine on every interface that runs another of ours. No packet is lost: each interface changes from one packet
 * to the next. The others' pins are removed; who still has one open closes it.
 */
export async function switchTo(directory: PinDirectory, engine: Engine): Promise<void> {
  detachMoved(directory);
  for (const { ifindex } of pinnedLinks(directory)) attach(directory, engine.program, ifindex);
  await gracePeriod();
  const others = names(directory.programs).map(Number);
  for (const number of others) if (number !== engine.number) unpinProgram(directory, number);
}

/** The program of this build over the maps of the one that runs. */
async function renewed(directory: PinDirectory, old: Engine, object: ProgramObject): Promise<Engine> {
  const { shape } = old.image.census;
  const program = await loadProgram({
    object: object.path,
    shape: {},
    settings: settingsOf(shape, object.build),
    reuse: { from: old.program, maps: [...old.program.maps.keys()].filter((name) => name !== settingsMap) },
  });
  const engine = await prepared(directory, program, () => readImage(program));
  await switchTo(directory, engine);
  old.program.close();
  return engine;
}

async function prepared(
  directory: PinDirectory,
  program: LoadedProgram,
  image: () => Promise<Image>,
): Promise<Engine> {
  try {
    const engine = { program, image: await image() };
    return { ...engine, number: pinProgram(directory, program).number };
  } catch (error) {
    program.close();
    throw error;
  }
}

function readImage(program: LoadedProgram): Promise<Image> {
  return Image.attach(memoryOf(program), { shards: 2 ** (program.settings.counter_shift ?? 0), gracePeriod });
}

/** The arrays that the agent writes. Throws `Mismatch` for a program that has others. */
export function memoryOf(program: LoadedProgram): Memory {
  const missing = mapNames.find((name) => !program.maps.has(name));
  if (missing !== undefined) throw new Mismatch(`the program has no map ${missing}`);
  const entries = mapNames.map((name) => [name, program.memory(name)] as const);
  return Object.fromEntries(entries) as unknown as Memory;
}

/** Lets packets in, once the maps hold what they should. */
export function openGate({ program }: Engine): void {
  const words = new Uint32Array(program.memory('control').buffer);
  Atomics.store(words, control.gate / 4, gateOpen);
}

export function isGateOpen({ program }: Engine): boolean {
  return new Uint32Array(program.memory('control').buffer)[control.gate / 4] === gateOpen;
}

/** The secret source MAC address of frames that the kernel is to route, as `02:00:5e:10:00:01`. */
export function markOf({ program }: Engine): string {
  const bytes = controlBytes(program).subarray(control.mark, control.mark + 6);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function controlBytes(program: LoadedProgram): Buffer {
  return Buffer.from(program.memory('control').buffer);
}

function randomMac(): Buffer {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & macBits.clear) | macBits.set;
  return bytes;
}
