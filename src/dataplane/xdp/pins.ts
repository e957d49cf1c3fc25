// What keeps the program at work without the agent: looked after, because anybody may remove files.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from './engine.ts';
import { openPinDirectory, type PinDirectory } from './kernel/pin-directory.ts';
import { names } from './kernel/pinned-links.ts';
import { pinProgram } from './kernel/pinned-programs.ts';
import { removeAll } from './kernel/remove-all.ts';

/** Whether all maps and programs are pinned; links are not looked at. A few system calls. */
export function isPinned({ programs, links, reasons }: PinDirectory, { number, program }: Engine): boolean {
  const wanted = program.maps.size + program.programs.size;
  return existsSync(links) && existsSync(reasons) && names(join(programs, String(number))).length === wanted;
}

/** Pins an engine again; the old directory is let go. What is left of the old pins goes when the engine is switched to. */
export function pinAgain(
  old: PinDirectory,
  engine: Engine,
): { readonly directory: PinDirectory; readonly engine: Engine } {
  const directory = openPinDirectory();
  old.close();
  return { directory, engine: { ...engine, number: pinProgram(directory, engine.program).number } };
}

/** Lets go of a directory; one that holds nothing goes, too. */
export function leave(directory: PinDirectory): void {
  if (names(directory.links).length > 0 || names(directory.programs).length > 0) directory.close();
  else removeAll(directory);
}
