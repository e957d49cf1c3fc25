// `penstock delete`: takes load balancers away, by name or as a file names them.
import { type Command, Option } from 'commander';
import {
  type Context,
  collect,
  type Globals,
  globalsOf,
  type OutputFormat,
  outputOption,
} from '../context.ts';
import { usageError } from '../exit.ts';
import { writeApplyAnswer } from '../output/answer.ts';

interface Options {
  readonly file?: readonly string[];
  readonly dryRun?: boolean;
  readonly output: OutputFormat;
}

export function addDelete(program: Command, context: Context): void {
  program
    .command('delete')
    .description('delete load balancers; their flows end')
    .usage('lb NAME... | -f FILE')
    .argument('[kind]', 'lb')
    .argument('[name...]', 'load balancers')
    .addOption(
      new Option(
        '-f, --file <file>',
        'delete the load balancers that this file names (repeatable)',
      ).argParser(collect),
    )
    .option('--dry-run', 'print what would change; change nothing')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ penstock delete lb web api
  $ penstock delete -f tenants/a.yaml`,
    )
    .action(
      async (kind: string | undefined, names: readonly string[], options: Options, command: Command) => {
        const all = await namesToDelete(context, kind, names, options.file ?? []);
        await deleteLoadBalancers(context, all, options, globalsOf(command));
      },
    );
}

async function namesToDelete(
  context: Context,
  kind: string | undefined,
  names: readonly string[],
  files: readonly string[],
): Promise<readonly string[]> {
  const example = 'for example: penstock delete lb web';
  if (kind !== undefined && !['lb', 'load-balancer'].includes(kind)) {
    throw usageError(`${kind} is not a kind of thing to delete; there is lb`, example);
  }
  if (kind !== undefined && names.length === 0) throw usageError('which load balancer?', example);
  if (kind === undefined && files.length === 0) throw usageError('delete what?', example);
  if (files.length === 0) return names;
  const { readFiles } = await import('../file/read.ts');
  const declared = await readFiles(files, context.stdin);
  const unnamed = declared.find((one) => (one.message.name ?? '') === '');
  if (unnamed !== undefined) throw usageError(`${unnamed.file}: a load balancer has no name`);
  return [...names, ...declared.map((one) => one.message.name ?? '')];
}

async function deleteLoadBalancers(
  context: Context,
  names: readonly string[],
  options: Options,
  globals: Globals,
): Promise<void> {
  const { withGateway } = await import('../connection.ts');
  const dryRun = options.dryRun ?? false;
  const answer = await withGateway(globals, ({ client, changing }) =>
    client.apply({ changes: { deleteLoadBalancers: [...new Set(names)] }, validateOnly: dryRun }, changing),
  );
  await writeApplyAnswer(context.terminal.out, answer, { dryRun, format: options.output });
}
