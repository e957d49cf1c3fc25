// The Python programs beside this file, run on a lab's nodes: sockets and frames that Node has no words for.
import { once } from 'node:events';
import { join } from 'node:path';
import type { Lab } from '../../lab/lab.ts';
import type { Node } from '../../lab/topology.ts';

type Program = 'answerer.py' | 'caller.py' | 'datagrams.py' | 'frames.py' | 'witness.py';

/** For `Lab.spawn`. */
export function command(program: Program, args: readonly (string | number)[]): readonly string[] {
  return ['/usr/bin/python3', join(import.meta.dirname, program), ...args.map(String)];
}

/** Runs a program to its end; gives what it prints. */
export async function run(
  lab: Lab,
  node: Node,
  program: Program,
  ...args: readonly (string | number)[]
): Promise<string> {
  return (await lab.exec(node, command(program, args), { timeout: 60_000 })).stdout;
}

/** Starts one that says "ready". Gives what to wait for to hear all that it prints. */
export async function start(
  lab: Lab,
  node: Node,
  program: Program,
  ...args: readonly (string | number)[]
): Promise<{ readonly printed: Promise<string> }> {
  const child = lab.spawn(node, command(program, args), { reject: false });
  if (child.stdout !== null && child.stdout !== undefined)
    await once(child.stdout as NodeJS.ReadableStream, 'data');
  return { printed: child.then(({ stdout }) => String(stdout)) };
}
