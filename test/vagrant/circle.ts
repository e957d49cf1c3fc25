// The whole way of Vagrant's machines: a box, up, the demo on each data plane, destroy; and nothing left.
import type { DataPlane } from '../lab/record.ts';
import { box } from './box/build.ts';
import type { Surroundings } from './command.ts';
import { Sandbox } from './sandbox/sandbox.ts';

/** Four machines, or one with the lab in namespaces. */
export type Form = 'machines' | 'single';

const names: Readonly<Record<Form, readonly string[]>> = {
  machines: ['gateway', 'client', 'backend1', 'backend2'],
  single: ['single'],
};

/** Without a terminal, progress would be a line of a hundred thousand characters. */
const plain = process.stdout.isTTY ? [] : ['--no-tty'];

/** Returns whether every demo went well and nothing was left of the machines. */
export async function circle(
  form: Form,
  dataplanes: readonly DataPlane[],
  { say, signal }: Surroundings,
): Promise<boolean> {
  const timed = async <Result>(what: string, work: () => Promise<Result>): Promise<Result> => {
    signal.throwIfAborted();
    const begin = performance.now();
    const result = await work();
    say(`${what}: ${Math.round((performance.now() - begin) / 1_000)} s`);
    return result;
  };
  await Sandbox.possible();
  const made = await timed('the box', () => box(say, signal));
  await Sandbox.sweep();
  const sandbox = await timed('libvirt', () => Sandbox.start(`circle-${process.pid}`, true, signal));
  const end = (): void => void sandbox.end();
  signal.addEventListener('abort', end);
  try {
    await timed('vagrant box add', () => sandbox.add(made, signal));
    await timed('vagrant up', async () => {
      await sandbox.run(made, ['vagrant', 'up', ...plain, ...names[form]], {
        stdio: 'inherit',
        reject: true,
      });
    });
    let clean = true;
    for (const dataplane of dataplanes) {
      await timed(`the demo on ${dataplane}`, async () => {
        const { failed } = await sandbox.run(made, demo(form, dataplane), { stdio: 'inherit' });
        clean &&= !failed;
      });
    }
    await timed('vagrant destroy', async () => {
      await sandbox.run(made, ['vagrant', 'destroy', '--force'], { stdio: 'inherit', reject: true });
    });
    const left = [...(await sandbox.machines()), ...(await sandbox.networks())];
    if (left.length > 0) say(`vagrant destroy has left ${left.join(', ')}`);
    return clean && left.length === 0;
  } finally {
    signal.removeEventListener('abort', end);
    await sandbox.end();
  }
}

/** Says to the lab inside of an emulated machine how slow it is. */
const slow = 'PENSTOCK_SLOWNESS=8';

function demo(form: Form, dataplane: DataPlane): readonly string[] {
  return form === 'machines'
    ? ['scripts/demo', '--vm=vagrant', '--dataplane', dataplane]
    : [
        'vagrant',
        'ssh',
        'single',
        '--command',
        `sudo ${slow} /srv/penstock/scripts/demo --dataplane ${dataplane}`,
      ];
}
