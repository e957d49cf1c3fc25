// The virtual machines' command line: scripts/vm.
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { addCommands } from '../vagrant/command.ts';
import { cached } from './cache.ts';
import { fillCompiled } from './compiled.ts';
import { defaultKernel, findKernel, type Kernel, kernels } from './kernels.ts';
import { cells, runMatrix } from './matrix.ts';
import { table } from './outcome.ts';
import { maximumNics } from './qemu.ts';
import { run } from './run.ts';
import { longForm, shortForm } from './suites.ts';
import { Trouble } from './trouble.ts';

const root = new URL('../..', import.meta.url).pathname;

const explanation = `
The guest sees the host's files read-only; what it writes is gone with it, but for what it writes to the directory
$PENSTOCK_VM_OUTPUT. It starts in the current directory, as root. Its network cards are eth0, eth1, ...; the first and
the second are wired together, the third and the fourth, and so on. The host's network is out of its reach.

Exit status: the command's; 124 when the time limit was reached; 125 when there could be no guest, or it died.

Try:
  scripts/vm run -- uname -a
  scripts/vm run --kernel 6.12 --nics 4 -- ip -brief link
`;

interface RunOptions {
  readonly kernel: Kernel;
  readonly nics: number;
  readonly queues: number;
  readonly cpus: number;
  readonly memory: number;
  readonly timeout: number;
  readonly output?: string;
  readonly qemu: readonly string[];
}

const program = new Command('vm')
  .description('Runs commands and test suites under other kernels, in virtual machines.')
  .showHelpAfterError('(see scripts/vm --help)')
  .configureOutput({ outputError: (text, write) => write(`vm: ${text}`) })
  .enablePositionalOptions()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 125));

program
  .command('run')
  .description('boot a kernel and run a command under it')
  .addOption(
    kernelOption('whose newest Debian package is booted').default(findKernel(defaultKernel), defaultKernel),
  )
  .option('--nics <n>', 'virtio network cards', between(0, maximumNics, 'cards'), 0)
  .option(
    '--queues <n>',
    'queue pairs of each card; more than one takes root, and gives the cards offloads',
    between(1, 32, 'queue pairs'),
    1,
  )
  .option('--cpus <n>', 'processors', between(1, 64, 'processors'), 2)
  .option('--memory <mebibytes>', 'memory', between(512, 1_048_576, 'MiB'), 2048)
  .option('--timeout <seconds>', 'time limit, from power-on', between(1, 86_400, 'seconds'), 300)
  .option(
    '--output <directory>',
    'what $PENSTOCK_VM_OUTPUT is in the guest; made when it is missing',
    someDirectory,
  )
  .option('--qemu <arguments>', 'more arguments for QEMU, separated by spaces (repeatable)', words, [])
  .argument('<command...>')
  .addHelpText('after', explanation)
  .passThroughOptions()
  .action(async (command: readonly string[], options: RunOptions) => {
    const streams = { stdout: process.stdout, stderr: process.stderr, say };
    const output = options.output;
    const ended = await run({ ...options, output, command }, streams, interrupted.signal);
    process.exitCode = ended.status;
  });

interface MatrixOptions {
  readonly short?: true;
  readonly kernel: readonly Kernel[];
  readonly suite: readonly string[];
  readonly jobs: number;
  readonly output: 'table' | 'json';
}

program
  .command('matrix')
  .description('run the suites of tests under the kernels, a guest for each')
  .option('--short', 'only what tells within minutes whether both data planes work')
  .addOption(kernelOption('only under this one (repeatable)').argParser(severalKernels).default([], 'all'))
  .option('--suite <name>', 'only this suite (repeatable)', several, [])
  .option('--jobs <n>', 'guests at a time', between(1, 16, 'guests'), Math.min(2, availableParallelism()))
  .addOption(formatOption())
  .action(async (options: MatrixOptions) => {
    const suites = options.short ? shortForm : longForm;
    const known = suites.map(({ name }) => name);
    for (const name of options.suite) {
      if (!known.includes(name))
        throw new Trouble(`--suite: there is no "${name}"; the suites are ${known.join(', ')}.`);
    }
    const chosen = suites.filter(({ name }) => options.suite.length === 0 || options.suite.includes(name));
    // The suites' files are named from here.
    process.chdir(root);
    const all = cells(options.kernel.length === 0 ? kernels : options.kernel, chosen);
    await fillCompiled(root, interrupted.signal);
    const outcomes = await runMatrix(all, options.jobs, say, interrupted.signal);
    // Whoever wants JSON likes to see the table all the same.
    if (options.output === 'json') process.stderr.write(`${table(outcomes)}\n`);
    print(options.output === 'json' ? JSON.stringify(outcomes, null, 2) : table(outcomes));
    if (outcomes.length === 0 || outcomes.some(({ failure }) => failure !== undefined)) process.exitCode = 1;
  });

program
  .command('kernels')
  .description('the kernels that Penstock is tested on, and what it promises there')
  .addOption(formatOption())
  .action(async ({ output }: { output: 'table' | 'json' }) => {
    const rows = await Promise.all(
      kernels.map(async (kernel) => {
        const there = await cached(kernel);
        const { name, promises } = kernel;
        return { name, promises, package: there?.package ?? null, version: there?.version ?? null };
      }),
    );
    if (output === 'json') print(JSON.stringify(rows, null, 2));
    else {
      for (const row of rows) {
        const there = row.package === null ? 'not downloaded yet' : `${row.package} ${row.version}`;
        print(`${row.name.padEnd(6)}${there.padEnd(56)}${row.promises.join(' ')}`);
      }
    }
  });

function kernelOption(purpose: string): Option {
  const names = kernels.map((kernel) => kernel.name).join(' or ');
  return new Option('--kernel <name>', `${names}: ${purpose}`).argParser(knownKernel);
}

function formatOption(): Option {
  return new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table');
}

function knownKernel(name: string): Kernel {
  const kernel = findKernel(name);
  if (kernel !== undefined) return kernel;
  throw new InvalidArgumentError(`The kernels are ${kernels.map((known) => known.name).join(', ')}.`);
}

function severalKernels(name: string, before: readonly Kernel[]): readonly Kernel[] {
  return [...before, knownKernel(name)];
}

function several(name: string, before: readonly string[]): readonly string[] {
  return [...before, name];
}

function between(least: number, most: number, unit: string): (text: string) => number {
  return (text) => {
    if (/^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most) return Number(text);
    throw new InvalidArgumentError(`It is a number of ${unit} from ${least} to ${most}.`);
  };
}

function someDirectory(path: string): string {
  if (path === '') throw new InvalidArgumentError('It is the path of a directory.');
  return resolve(path);
}

function words(text: string, before: readonly string[]): readonly string[] {
  return [...before, ...text.split(/\s+/).filter((word) => word !== '')];
}

function say(text: string): void {
  process.stderr.write(`vm: ${text}\n`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

// Whoever reads us may go before we end, as head(1) does: what there is to do and to clear away, we do all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

/** Ctrl-C and the like: all work is cancelled and cleared away, and we end as a shell would expect. */
const interrupted = new AbortController();
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
for (const [name, status] of Object.entries(signals)) {
  process.on(name, () => {
    process.exitCode = status;
    interrupted.abort(new Error(name));
  });
}

addCommands(program, { say, signal: interrupted.signal });

try {
  await program.parseAsync();
} catch (error) {
  if (!interrupted.signal.aborted) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof Trouble ? error.status : 125;
  }
}
