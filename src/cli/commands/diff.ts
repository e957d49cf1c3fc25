// `penstock diff`: how files differ from what the gateway has been told, and what applying them would do.
import { type Command, Option } from 'commander';
import type { Answer } from '../../wire/client.ts';
import { replaceAllChunks } from '../chunks.ts';
import type { Comparison } from '../compare/text.ts';
import type { Gateway } from '../connection.ts';
import { type Context, fileOption, type Globals, globalsOf } from '../context.ts';
import { CommandError, exit } from '../exit.ts';
import type { Declared } from '../file/read.ts';
import { collectLoadBalancers, type Listed } from '../join.ts';
import { writeApplied } from '../output/plan.ts';

interface Options {
  readonly file: readonly string[];
  readonly replace?: boolean;
  readonly allowRemap?: boolean;
  readonly output: 'table' | 'json' | 'yaml';
}

export function addDiff(program: Command, context: Context): void {
  program
    .command('diff')
    .description('how files differ from what the gateway runs, and what applying them would do')
    .addOption(fileOption())
    .option('--replace', 'as for apply --replace: load balancers that are not in the files go')
    .option('--allow-remap', 'as for apply --allow-remap')
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices(['table', 'json', 'yaml']).default('table'),
    )
    .addHelpText(
      'after',
      `
Lines with - are what the gateway has, lines with + what the files say. What means the same
is no difference: defaults said or unsaid, names in another order.

Exit codes: 0 no difference, 1 differences, 2 any error.

Examples:
  $ penstock diff -f gateway.yaml
  $ penstock diff -f gateway.yaml --replace || penstock apply -f gateway.yaml --replace`,
    )
    .action(async (options: Options, command: Command) => {
      try {
        const same = await diff(context, options, globalsOf(command));
        context.finish(same ? exit.done : exit.refused);
      } catch (error) {
        throw asDiffError(error);
      }
    });
}

/** Code 1 means that there are differences, so that every error needs another. */
function asDiffError(error: unknown): CommandError {
  if (error instanceof CommandError) {
    const { message, details, remedy } = error;
    return new CommandError(exit.usage, message, { details, remedy });
  }
  return new CommandError(
    exit.usage,
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
}

async function diff(context: Context, options: Options, globals: Globals): Promise<boolean> {
  const { readFiles } = await import('../file/read.ts');
  const declared = await readFiles(options.file, context.stdin);
  const [{ withGateway }, { fieldPlaces }] = await Promise.all([
    import('../connection.ts'),
    import('../file/field-place.ts'),
  ]);
  return await withGateway(
    globals,
    async (gateway) => {
      const listed = await listPresent(gateway, declared, options.replace === true);
      const comparisons = await compareAll(declared, listed, options.replace === true);
      const same = comparisons.every((one) => one.kind === 'same');
      // Shown before the agent is asked, which may refuse the change.
      if (options.output === 'table') await writeComparisons(context, comparisons);
      const plan = same ? undefined : await dryRun(gateway, declared, options);
      if (options.output === 'table') {
        if (plan !== undefined) writeApplied(context.terminal.out, plan, { dryRun: true, format: 'table' });
      } else await writeResult(context, options.output, comparisons, plan);
      return same;
    },
    fieldPlaces(declared),
  );
}

async function listPresent(
  { client, reading }: Gateway,
  declared: readonly Declared[],
  replace: boolean,
): Promise<Listed> {
  const only = declared.length === 1 && !replace ? (declared[0]?.message.name ?? '') : '';
  try {
    return await collectLoadBalancers(client.listLoadBalancers({ name: only }, reading));
  } catch (error) {
    const unknown = error instanceof Error && 'reason' in error && error.reason === 'NOT_FOUND';
    if (unknown)
      return { revision: 0, loadBalancers: [], ruleCounters: [], memberCounters: [], limitCounters: [] };
    throw error;
  }
}

async function compareAll(
  declared: readonly Declared[],
  listed: Listed,
  replace: boolean,
): Promise<readonly Comparison[]> {
  const [{ normalForm }, { differences }] = await Promise.all([
    import('../compare/normal-form.ts'),
    import('../compare/differences.ts'),
  ]);
  const present = new Map(listed.loadBalancers.map((one) => [one.name, one]));
  const named = new Set(declared.map(({ message }) => message.name ?? ''));
  const comparisons = declared.map(({ message }): Comparison => {
    const loadBalancer = message.name ?? '';
    const before = present.get(loadBalancer);
    if (before === undefined) return { loadBalancer, kind: 'new', differences: [] };
    const found = differences(normalForm(before), normalForm(message));
    return { loadBalancer, kind: found.length === 0 ? 'same' : 'changed', differences: found };
  });
  const gone = replace ? listed.loadBalancers.filter(({ name }) => !named.has(name)) : [];
  return [
    ...comparisons,
    ...gone.map(({ name }): Comparison => ({ loadBalancer: name, kind: 'gone', differences: [] })),
  ];
}

async function dryRun(
  { client, changing }: Gateway,
  declared: readonly Declared[],
  options: Options,
): Promise<Answer<'ApplyResponse'>> {
  const settings = { validateOnly: true, allowRemap: options.allowRemap ?? false };
  const loadBalancers = declared.map(({ message }) => message);
  return options.replace === true
    ? await client.replaceAll(replaceAllChunks(loadBalancers, settings), changing)
    : await client.apply({ changes: { putLoadBalancers: loadBalancers }, ...settings }, changing);
}

async function writeComparisons(
  { terminal: { out } }: Context,
  comparisons: readonly Comparison[],
): Promise<void> {
  const { writeComparison } = await import('../compare/text.ts');
  for (const comparison of comparisons) writeComparison(out, comparison);
  if (comparisons.every((one) => one.kind === 'same')) out.write('no differences\n');
}

async function writeResult(
  { terminal: { out } }: Context,
  format: 'json' | 'yaml',
  comparisons: readonly Comparison[],
  plan: Answer<'ApplyResponse'> | undefined,
): Promise<void> {
  const [{ encodeMessage }, { messageType }, { writeStructured }] = await Promise.all([
    import('../file/encode.ts'),
    import('../file/schema.ts'),
    import('../output/structured.ts'),
  ]);
  await writeStructured(out, format, {
    loadBalancers: comparisons.map(({ loadBalancer, kind, differences }) => ({
      name: loadBalancer,
      state: kind,
      differences: differences.map((one) => ({ ...one })),
    })),
    ...(plan === undefined ? {} : { apply: encodeMessage(messageType('ApplyResponse'), plan) }),
  });
}
