// The pins of a lab's gateway, opened by the test: its programs with their maps.
import { join } from 'node:path';
import type { PinDirectory } from '../../../src/dataplane/xdp/kernel/pin-directory.ts';
import { names } from '../../../src/dataplane/xdp/kernel/pinned-links.ts';
import { runningPrograms } from '../../../src/dataplane/xdp/kernel/pinned-programs.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import type { Lab } from '../../lab/lab.ts';
import { pinFolder } from '../../lab/pins.ts';

export async function pinDirectory(lab: Lab): Promise<PinDirectory> {
  const path = await pinFolder(lab.namespace('gateway'));
  if (path === undefined) throw new Error('nothing was ever pinned');
  const [programs, links, reasons] = [join(path, 'programs'), join(path, 'links'), join(path, 'reasons')];
  return { path, programs, links, reasons, close: () => {} };
}

/** How many loaded objects are pinned: one, but while one replaces another. */
export async function pinnedPrograms(lab: Lab): Promise<number> {
  return names((await pinDirectory(lab)).programs).length;
}

/** What packets go through now, with its maps in this process's memory. */
export async function withRunning<Result>(
  lab: Lab,
  use: (program: LoadedProgram) => Result | Promise<Result>,
): Promise<Result> {
  const running = await runningPrograms(await pinDirectory(lab));
  try {
    const last = running.at(-1);
    if (last === undefined) throw new Error('no program runs');
    return await use(last.program);
  } finally {
    for (const { program } of running) program.close();
  }
}
