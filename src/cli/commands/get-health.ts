// `penstock get health`: which machines the probes find well, why others get no flows, and how long those that drain have left.
import type { Command } from 'commander';
import type { Answer } from '../../wire/client.ts';
import { type Context, globalsOf, type OutputFormat, outputOption } from '../context.ts';
import { paint } from '../output/colour.ts';
import { age, plainText, remaining, time } from '../output/format.ts';
import { writeList } from '../output/list.ts';
import { type Column, Table } from '../output/table.ts';
import type { Channel } from '../terminal.ts';

interface Options {
  readonly lb?: string;
  readonly rule?: string;
  readonly output: OutputFormat;
}

export function addGetHealth(get: Command, context: Context): void {
  get
    .command('health')
    .description('how the members of probed rules fare, and why some get no new flows')
    .option('--lb <name>', 'of this load balancer')
    .option('--rule <name>', 'of this load-balancing rule')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Only rules that name a probe have members here, and of others the members whose drain period runs.
-o wide adds addresses and times.

Examples:
  $ penstock get health
  $ penstock get health --lb web -o json | jq '.members[] | select(.eligible != true)'`,
    )
    .action(async (options: Options, command: Command) => {
      const { withGateway } = await import('../connection.ts');
      const request = { loadBalancer: options.lb ?? '', rule: options.rule ?? '' };
      const { out } = context.terminal;
      await withGateway(globalsOf(command), async ({ client, reading }) => {
        const chunks = client.listMemberHealth(request, reading);
        switch (options.output) {
          case 'table':
          case 'wide':
            return await writeTable(out, chunks, options.output === 'wide');
          case 'json':
          case 'yaml':
            return await writeList(out, options.output, 'ListMemberHealthResponse', 'members', chunks);
        }
      });
    });
}

type Chunks = AsyncIterable<Answer<'ListMemberHealthResponse'>>;

const columns: readonly Column[] = [
  { title: 'LOAD BALANCER' },
  { title: 'RULE' },
  { title: 'MEMBER' },
  { title: 'NEW FLOWS' },
  { title: 'REASON' },
  { title: 'FOR' },
  { title: 'LAST FAILURE' },
  { title: 'FLOWS END' },
];
const wideColumns: readonly Column[] = [{ title: 'BACKEND' }, { title: 'SINCE' }];

async function writeTable(out: Channel, chunks: Chunks, wide: boolean): Promise<void> {
  const table = new Table(out, wide ? [...columns, ...wideColumns] : columns);
  for await (const { members } of chunks) {
    table.write(
      members.map((one) => [
        plainText(one.loadBalancer),
        plainText(one.rule),
        plainText(one.member),
        one.eligible ? paint(out, 'green', 'yes') : paint(out, 'red', 'no'),
        `${plainText(one.reason)}${one.flapping ? ' (flapping)' : ''}`,
        age(one.since, Date.now()),
        plainText(one.detail) || '-',
        remaining(one.drainEnds, Date.now()),
        ...(wide ? [one.backendAddress, time(one.since)] : []),
      ]),
    );
  }
  if (table.rows === 0) out.write('no probed rules, and no drain period runs\n');
}
