// Node's cache of compiled modules, filled on the host and read in guests: there Node would take seconds, each time that
// a test starts the agent or the command line, to strip types and compile.
import { join } from 'node:path';
import { execa } from 'execa';
import { cacheDirectory, makeCache } from './cache.ts';

/** For NODE_COMPILE_CACHE. What a guest adds is gone with it. */
export const compiledDirectory = join(cacheDirectory, 'node');

/** Starts the agent so that it fails when all of it has been loaded, and asks one that is not there for its status. */
export async function fillCompiled(root: string, signal: AbortSignal): Promise<void> {
  await makeCache(compiledDirectory);
  const address = `unix:${join(compiledDirectory, 'none.sock')}`;
  const options = {
    cancelSignal: signal,
    env: { NODE_COMPILE_CACHE: compiledDirectory },
    reject: false,
    stdio: 'ignore',
  } as const;
  const penstock = join(root, 'scripts/penstock');
  await execa(penstock, ['agent', '--state-directory', '/proc/none', '--listen', address], options);
  await execa(penstock, ['--address', address, 'status'], options);
}
