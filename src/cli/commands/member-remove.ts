// `penstock member remove`: takes machines out of a pool; their ports are free again.
import type { Command } from 'commander';
import { type Context, globalsOf, type OutputFormat, outputOption } from '../context.ts';
import { writeApplyAnswer } from '../output/answer.ts';

interface Options {
  readonly dryRun?: boolean;
  readonly output: OutputFormat;
}

export function addMemberRemove(member: Command, context: Context): void {
  member
    .command('remove')
    .description('take machines out of a pool; their flows end and their ports are free again')
    .argument('<lb>', 'load balancer')
    .argument('<pool>', 'backend pool')
    .argument('<id...>', 'ids of members')
    .option('--dry-run', 'print what would change; change nothing')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Example:
  $ penstock member remove web machines vm-3 vm-4`,
    )
    .action(async (lb: string, pool: string, ids: readonly string[], options: Options, command: Command) => {
      const { withGateway } = await import('../connection.ts');
      const dryRun = options.dryRun ?? false;
      const answer = await withGateway(globalsOf(command), ({ client, changing }) =>
        client.apply(
          {
            changes: { deleteMembers: [{ loadBalancer: lb, backendPool: pool, ids: [...ids] }] },
            validateOnly: dryRun,
          },
          changing,
        ),
      );
      await writeApplyAnswer(context.terminal.out, answer, { dryRun, format: options.output });
    });
}
