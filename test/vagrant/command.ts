// scripts/vm box and scripts/vm vagrant.
import { type Command, InvalidArgumentError } from 'commander';
import type { DataPlane } from '../lab/record.ts';
import { Trouble } from '../vm/trouble.ts';
import { box } from './box/build.ts';
import { circle, type Form } from './circle.ts';
import { inLasting } from './sandbox/lasting.ts';
import { needRoot, Sandbox } from './sandbox/sandbox.ts';

export interface Surroundings {
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

const explanation = `
Without arguments: builds the box, brings the machines up, runs the demo in them on each data plane, and destroys them;
nothing stays but the box. With arguments: runs Vagrant with them. Machines that were brought up like that stay until
"scripts/vm vagrant destroy --force".

Vagrant, libvirt and the machines live in namespaces of their own: the host's network, its /etc and its /var stay as they
are. The machines are emulated, and reach neither the host's network nor the internet. On a host with KVM or VirtualBox
use Vagrant itself.

Try:
  scripts/vm vagrant --single
  scripts/vm vagrant up
  scripts/vm vagrant ssh gateway -c 'sudo penstock status'
  scripts/vm vagrant demo --dataplane xdp
  scripts/vm vagrant destroy --force
`;

interface Options {
  readonly single?: true;
  readonly dataplane?: readonly DataPlane[];
}

const both: readonly DataPlane[] = ['nftables', 'xdp'];
const elsewhere = {
  single: 'Commands of Vagrant name the machine instead: scripts/vm vagrant up single',
  dataplane:
    'Of the commands only the demo takes it, after its name: scripts/vm vagrant demo --dataplane nftables or xdp',
};

export function addCommands(program: Command, { say, signal }: Surroundings): void {
  program
    .command('box')
    .description("build Vagrant's box from Debian packages, unless it is there, and print where it is")
    .action(async () => {
      needRoot('box');
      process.stdout.write(`${(await box(say, signal)).file}\n`);
    });

  program
    .command('vagrant')
    .description(
      'Vagrant machines on this host, emulated; without arguments the whole way from up to destroy',
    )
    .option('--single', 'one machine with the lab in namespaces, instead of four')
    .option(
      '--dataplane <plane...>',
      'what forwards, one after the other: nftables, xdp (default: both)',
      planes,
    )
    .argument('[arguments...]')
    .addHelpText('after', explanation)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: readonly string[], { single, dataplane }: Options) => {
      const form: Form = single === true ? 'single' : 'machines';
      if (args.length === 0) {
        const clean = await circle(form, dataplane ?? both, { say, signal });
        if (!signal.aborted) process.exitCode = clean ? 0 : 1;
        return;
      }
      if (single !== undefined) throw new Trouble(`--single stands alone. ${elsewhere.single}`);
      if (dataplane !== undefined) throw new Trouble(`--dataplane stands alone. ${elsewhere.dataplane}`);
      const status = await vagrant(args, { say, signal });
      if (!signal.aborted) process.exitCode = status;
    });
}

function planes(text: string, before: readonly DataPlane[] = []): readonly DataPlane[] {
  if (text === 'nftables' || text === 'xdp') return [...before, text];
  throw new InvalidArgumentError(`It is nftables or xdp. ${elsewhere.dataplane}`);
}

/** Its exit status, on machines that stay until the last of them is destroyed. */
async function vagrant(args: readonly string[], { say, signal }: Surroundings): Promise<number> {
  await Sandbox.possible();
  const made = await box(say, signal);
  return await inLasting(signal, async (sandbox) => {
    await sandbox.add(made, signal);
    const [first = '', ...rest] = args;
    const command = first === 'demo' ? ['scripts/demo', '--vm=vagrant', ...rest] : ['vagrant', ...args];
    const { exitCode } = await sandbox.run(made, command, { stdio: 'inherit', signal });
    return exitCode ?? 1;
  });
}
