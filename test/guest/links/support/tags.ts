// What is really on a wire: the VLAN tags of frames that come in by an interface.
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import type { Lab } from '../../../lab/lab.ts';
import { enter } from '../../../lab/namespaces.ts';
import type { Node } from '../../../lab/topology.ts';

/** How many packets of TCP and UDP came with which tags while `work` ran: outer first, as `88a8.200 8100.7`; `''` for none. */
export async function tagsSeen(
  lab: Lab,
  node: Node,
  name: string,
  work: () => Promise<unknown>,
): Promise<Readonly<Record<string, number>>> {
  const program = join(import.meta.dirname, 'tags.py');
  const [file, args] = enter(lab.namespace(node), ['python3', program, name]);
  await using ear = execa(file, args, { stdin: 'pipe', buffer: false });
  const lines = createInterface({ input: ear.stdout });
  await once(lines, 'line');
  await work();
  const answer = once(lines, 'line');
  ear.stdin.end();
  const [line] = await answer;
  await ear;
  return JSON.parse(String(line)) as Record<string, number>;
}
