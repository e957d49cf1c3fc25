// Whether an address answers ping.
import { join } from 'node:path';
import type { Lab } from '../../lab/lab.ts';
import type { Node } from '../../lab/topology.ts';

/** The address that answers an echo request; rejects when none does within two seconds. */
export async function ping(lab: Lab, address: string, from: Node = 'client'): Promise<string> {
  const program = join(import.meta.dirname, 'ping.py');
  const { stdout } = await lab.exec(from, ['/usr/bin/python3', program, address]);
  return stdout.trim();
}
