// `penstock doctor`: what on this host stands in the way, why it matters, and the command that mends it.
import { type Command, Option } from 'commander';
import type { Diagnosis, Examination } from '../../doctor/doctor.ts';
import {
  type Context,
  collect,
  defaultAddress,
  type Globals,
  globalsOf,
  type OutputFormat,
  outputOption,
} from '../context.ts';
import { CommandError, exit } from '../exit.ts';
import { diagnosisJson, writeDiagnosis } from '../output/diagnosis.ts';

interface Options {
  readonly dataplane?: 'nftables' | 'xdp';
  readonly interface?: readonly string[];
  readonly output: OutputFormat;
}

export function addDoctor(program: Command, context: Context): void {
  program
    .command('doctor')
    .description('what on this host stands in the way, and the command that mends it (best as root)')
    .addOption(
      new Option(
        '--dataplane <name>',
        'look at what this one needs (default: what the agent runs, else nftables)',
      ).choices(['nftables', 'xdp']),
    )
    .addOption(
      new Option(
        '--interface <name>',
        'look at this interface (repeatable; default: those that are up and carry routes)',
      ).argParser(collect),
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Looks at the kernel, the programs and libraries, the interfaces and the settings of the
host that it runs on. While the agent runs, it also looks whether the machines behind it
can be reached. It changes nothing; without root, what it cannot see is said to be unknown.

Each trouble has a code that never changes, and a remedy: a command to copy, where one
mends it. Settings made by sysctl, ip and ethtool last until the next boot: note the
command where your system keeps such settings (/etc/sysctl.d, /etc/network, .link files).

  error     something does not work, or will not
  warning   it works, but slowly, or not under all conditions
  unknown   could not be looked at
  info      worth knowing; seldom anything to do

Exit codes: 0 no errors (there may be warnings), 1 errors were found, 2 wrong usage.
-o wide also lists what is fine; -o json is for programs.

Examples:
  $ sudo penstock doctor
  $ sudo penstock doctor --dataplane xdp              could this host run XDP?
  $ sudo penstock doctor --dataplane xdp --interface eth0
  $ penstock doctor -o json | jq -r '.checks[] | select(.status == "error") | .remedy'`,
    )
    .action(async ({ dataplane, interface: interfaces = [], output }: Options, command: Command) => {
      const asked = await askAgent(globalsOf(command));
      const { examine } = await import('../../doctor/doctor.ts');
      const diagnosis = await examine({
        plane: dataplane ?? asked.plane,
        interfaces,
        agent: asked.agent,
      });
      await write(context, output, diagnosis);
      if (diagnosis.checks.some(({ status }) => status === 'error')) context.finish(exit.troubled);
    });
}

async function write({ terminal }: Context, output: OutputFormat, diagnosis: Diagnosis): Promise<void> {
  switch (output) {
    case 'table':
    case 'wide':
      writeDiagnosis(terminal.out, diagnosis, output === 'wide');
      return;
    case 'json':
    case 'yaml': {
      const { writeStructured } = await import('../output/structured.ts');
      await writeStructured(terminal.out, output, diagnosisJson(diagnosis));
    }
  }
}

interface Asked {
  readonly plane: Examination['plane'];
  readonly agent: Examination['agent'];
}

/** An agent that does not answer is a finding like others, and no reason to stop. */
async function askAgent(globals: Globals): Promise<Asked> {
  const absent = (reason: string, remedy: string): Asked => ({
    plane: 'nftables',
    agent: { absent: reason, remedy },
  });
  if (!isHere(globals.address)) {
    const remedy = 'run penstock doctor on the host of the agent';
    return absent(`the agent at ${globals.address} runs on another host than this one`, remedy);
  }
  const [{ withGateway }, { readDeclared }] = await Promise.all([
    import('../connection.ts'),
    import('../declared.ts'),
  ]);
  try {
    return await withGateway({ ...globals, timeout: globals.timeout ?? 10_000 }, async (gateway) => {
      const { status, agent } = await readDeclared(gateway);
      return { plane: status.dataPlane === 'xdp' ? 'xdp' : 'nftables', agent };
    });
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode === exit.usage) throw error;
    return absent(error.message, wayToAgent(error, globals.address));
  }
}

/** The command that starts an agent where one would be found; anything else is for people to read. */
export function wayToAgent({ message, remedy }: CommandError, address: string): string {
  return address === defaultAddress && /ENOENT|ECONNREFUSED/.test(message) ? 'penstock agent' : remedy;
}

function isHere(address: string): boolean {
  return /^unix:|^\/|^(tcp:\/\/)?(localhost|127\.|\[::1\])/.test(address);
}
