// `penstock flush`: takes everything that the agent set away from this host.
import { type Command, Option } from 'commander';
import type { Context } from '../context.ts';
import { CommandError, exit } from '../exit.ts';

interface Options {
  readonly stateDirectory: string;
}

export function addFlush(program: Command, context: Context): void {
  program
    .command('flush')
    .description(
      'remove the agent’s programs, rules, addresses and settings from this host (agent stopped, as root)',
    )
    .option('--state-directory <directory>', 'the agent’s', '/var/lib/penstock')
    // Taken since there was a choice to come; whatever forwards is removed.
    .addOption(new Option('--dataplane <name>').choices(['nftables', 'xdp']).hideHelp())
    .addHelpText(
      'after',
      `
Forwarding ends at once. What was declared stays in the state directory: when the agent
starts again, it forwards again.

Example:
  $ sudo systemctl stop penstock && sudo penstock flush`,
    )
    .action(async ({ stateDirectory }: Options) => {
      const { flushHost } = await import('../../agent/flush.ts');
      const { lines } = await flushHost({ stateDirectory }).catch((error: unknown) => {
        throw error instanceof CommandError ? error : failed(error);
      });
      context.terminal.out.write(`${lines.join('\n')}\n`);
    });
}

function failed(error: unknown): CommandError {
  const remedy =
    error instanceof Error && 'remedy' in error && typeof error.remedy === 'string'
      ? error.remedy
      : 'run it as root, with the agent stopped';
  return new CommandError(exit.agentFailed, error instanceof Error ? error.message : String(error), {
    remedy,
  });
}
