// scripts/vm box and scripts/vm vagrant.
import { type Command, Option } from 'commander';
import type { DataPlane } from '../lab/record.ts';
import { box } from './box/build.ts';
import { circle, type Form } from './circle.ts';
import { Sandbox } from './sandbox/sandbox.ts';

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

/** Of the machines that stay from one command to the next. */
const lasting = 'sandbox';

export function addCommands(program: Command, { say, signal }: Surroundings): void {
  program
    .command('box')
    .description("build Vagrant's box from Debian packages, unless it is there, and print where it is")
    .action(async () => {
      process.stdout.write(`${(await box(say, signal)).file}\n`);
    });

  program
    .command('vagrant')
    .description(
      'Vagrant machines on this host, emulated; without arguments the whole way from up to destroy',
    )
    .option('--single', 'one machine with the lab in namespaces, instead of four')
    .addOption(
      new Option('--dataplane <plane...>', 'what forwards, one after the other')
        .choices(['nftables', 'xdp'])
        .default(['nftables', 'xdp'], 'both'),
    )
    .argument('[arguments...]')
    .addHelpText('after', explanation)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: readonly string[], options: { single?: true; dataplane: readonly DataPlane[] }) => {
      const form: Form = options.single === true ? 'single' : 'machines';
      if (args.length === 0) {
        process.exitCode = (await circle(form, options.dataplane, { say, signal })) ? 0 : 1;
        return;
      }
      process.exitCode = await vagrant(args, { say, signal });
    });
}

/** Its exit status. The last machine's end is the sandbox's. */
async function vagrant(args: readonly string[], { say, signal }: Surroundings): Promise<number> {
  const made = await box(say, signal);
  const there = await Sandbox.find(lasting);
  const sandbox = there ?? (await Sandbox.start(lasting, false, signal));
  await sandbox.add(made);
  const [first = '', ...rest] = args;
  const command = first === 'demo' ? ['scripts/demo', '--vm=vagrant', ...rest] : ['vagrant', ...args];
  const { exitCode } = await sandbox.run(made, command, 'inherit');
  if ((await sandbox.machines()).length === 0) await sandbox.end();
  return exitCode ?? 1;
}
