// Two network namespaces with a veth pair between them: the test process' own, and its peer's.
import { execa } from 'execa';
import { koffi } from '../foreign.ts';
import { errno } from '../libc.ts';

export interface Network {
  readonly peer: string;
  /** Interface index of a device of the test's own namespace. */
  indexOf(name: string): Promise<number>;
  close(): Promise<void>;
}

/** `near` (10.77.0.1) here, `far` (10.77.0.2) there. This thread moves to the new namespace for good. Needs root. */
export async function buildNetwork(): Promise<Network> {
  const newNetwork = 0x40000000;
  const unshare = koffi().load('libc.so.6').func('int unshare(int)');
  if (unshare(newNetwork) !== 0) throw new Error(`no network namespace: errno ${errno()}; root is needed`);
  const peer = `penstock-kernel-${process.pid}`;
  await execa('ip', ['netns', 'add', peer]);
  await ip([
    'link set lo up',
    `link add near type veth peer name far netns ${peer}`,
    'addr add 10.77.0.1/24 dev near',
    'link set near up',
  ]);
  await ip(['link set lo up', 'addr add 10.77.0.2/24 dev far', 'link set far up'], peer);
  return {
    peer,
    async indexOf(name) {
      const { stdout } = await execa('ip', ['-json', 'link', 'show', name]);
      return (JSON.parse(stdout) as { ifindex: number }[])[0]?.ifindex ?? 0;
    },
    async close() {
      await execa('ip', ['netns', 'del', peer]);
    },
  };
}

export async function ip(commands: readonly string[], namespace?: string): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  await execa('ip', [...where, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
