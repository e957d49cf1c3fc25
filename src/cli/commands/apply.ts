// `penstock apply`: makes the gateway run what files declare.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Answer } from '../../wire/client.ts';
import { replaceAllChunks } from '../chunks.ts';
import {
  type Context,
  fileOption,
  type Globals,
  globalsOf,
  type OutputFormat,
  outputOption,
  wholeNumber,
} from '../context.ts';
import type { Declared } from '../file/read.ts';
import { writeApplyAnswer } from '../output/answer.ts';
import { ProgressLine } from '../output/progress.ts';

interface Options {
  readonly file: readonly string[];
  readonly dryRun?: boolean;
  readonly allowRemap?: boolean;
  readonly replace?: boolean;
  readonly requestId?: string;
  readonly expectedRevision?: number;
  readonly output: OutputFormat;
}

export function addApply(program: Command, context: Context): void {
  program
    .command('apply')
    .description('make the gateway run what files declare, in one transaction')
    .addOption(fileOption())
    .option('--dry-run', 'run every check and print what would change; change nothing')
    .option('--replace', 'load balancers that are not in the files go')
    .option('--allow-remap', 'a range may shrink or move although machines have ports outside the new one')
    .addOption(
      new Option(
        '--request-id <id>',
        'a repeat with the same id changes nothing and gives the first answer',
      ).argParser(nonEmpty),
    )
    .addOption(
      new Option('--expected-revision <n>', 'refuse unless the gateway is at this revision').argParser(
        wholeNumber(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
A file holds a load balancer, a list of them, or an object with \`loadBalancers\`, in YAML
(also several documents) or JSON, with the fields of the API in camelCase or snake_case.
All of it is applied, or nothing. Machines keep their ports.

Examples:
  $ penstock apply -f gateway.yaml --dry-run
  $ penstock apply -f tenants/a.yaml -f tenants/b.yaml
  $ generate | penstock apply --replace -f -

A file:
  name: web
  frontends:
    - { name: public, address: 203.0.113.10 }
  backendPools:
    - name: machines
      members:
        - { id: vm-1, address: 10.0.0.4 }
        - { id: vm-2, address: 10.0.0.5 }
  inboundNatRules:
    - name: ssh            # 203.0.113.10:500 leads to vm-1, port 501 to vm-2, ...
      frontend: public
      protocol: TCP
      backendPort: 22
      pool: { backendPool: machines, frontendPortRangeStart: 500, maximumMachines: 1000 }`,
    )
    .action(async (options: Options, command: Command) => {
      await apply(context, options, globalsOf(command));
    });
}

async function apply(context: Context, options: Options, globals: Globals): Promise<void> {
  const { readFiles } = await import('../file/read.ts');
  const declared = await readFiles(options.file, context.stdin);
  const [{ withGateway }, { fieldPlaces }] = await Promise.all([
    import('../connection.ts'),
    import('../file/field-place.ts'),
  ]);
  const settings = {
    validateOnly: options.dryRun ?? false,
    allowRemap: options.allowRemap ?? false,
    requestId: options.requestId ?? '',
    expectedRevision: options.expectedRevision ?? 0,
  };
  const answer = await withGateway(
    globals,
    async ({ client, changing }): Promise<Answer<'ApplyResponse'>> => {
      const loadBalancers = declared.map((one: Declared) => one.message);
      if (options.replace !== true) {
        return await client.apply({ changes: { putLoadBalancers: loadBalancers }, ...settings }, changing);
      }
      using progress = new ProgressLine(context.terminal.err);
      return await client.replaceAll(
        replaceAllChunks(loadBalancers, settings, (state) => progress.show(state)),
        changing,
      );
    },
    fieldPlaces(declared),
  );
  await writeApplyAnswer(context.terminal.out, answer, {
    dryRun: settings.validateOnly,
    format: options.output,
  });
}

function nonEmpty(value: string): string {
  if (value === '') throw new InvalidArgumentError('It must not be empty.');
  return value;
}
