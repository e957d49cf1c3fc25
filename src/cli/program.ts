// The command as a whole: its commands, its help, and how every way of ending becomes an exit code.
import { Command, CommanderError } from 'commander';
import { addAgent } from './commands/agent.ts';
import { addApply } from './commands/apply.ts';
import { addDelete } from './commands/delete.ts';
import { addDiff } from './commands/diff.ts';
import { addDoctor } from './commands/doctor.ts';
import { addFlush } from './commands/flush.ts';
import { addGetFlows } from './commands/get-flows.ts';
import { addGetHealth } from './commands/get-health.ts';
import { addGetLoadBalancers } from './commands/get-load-balancers.ts';
import { addGetMappings } from './commands/get-mappings.ts';
import { addGetOutbound } from './commands/get-outbound.ts';
import { addMemberAdd } from './commands/member-add.ts';
import { addMemberRemove } from './commands/member-remove.ts';
import { addStatus } from './commands/status.ts';
import { addWatch } from './commands/watch.ts';
import { addGlobalOptions, type Context } from './context.ts';
import { CommandError, type ExitCode, exit } from './exit.ts';
import { paint } from './output/colour.ts';
import { plainText } from './output/format.ts';
import { packageVersion } from './package-root.ts';
import type { Terminal } from './terminal.ts';

const epilogue = `
Exit codes:
  0  done
  1  refused by the agent (diff: there are differences; doctor: errors found)
  2  wrong usage, or mistakes in a file (diff: any error)
  3  the agent cannot be reached, or gave no answer in time
  4  the agent failed

Start here:
  $ penstock doctor                             does this host have what it takes? (as root)
  $ penstock agent                              run the gateway on this host (as root)
  $ penstock apply -f gateway.yaml --dry-run    what would a file change?
  $ penstock apply -f gateway.yaml              change it
  $ penstock get mappings                       which port leads to which machine?
`;

/** Runs one command line and gives the exit code; never throws for what a person can cause. */
export async function run(
  args: readonly string[],
  terminal: Terminal,
  stdin: NodeJS.ReadableStream = process.stdin,
): Promise<ExitCode> {
  let code: ExitCode = exit.done;
  const context: Context = {
    terminal,
    stdin,
    finish: (value) => {
      code = value;
    },
  };
  try {
    await buildProgram(context).parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return isHelp(error, args) ? exit.done : exit.usage;
    const failure = error instanceof CommandError ? error : unexpected(error);
    report(terminal, failure);
    return failure.exitCode;
  }
}

/** Asking for help succeeds; help that is shown because a command is missing does not. */
function isHelp(error: CommanderError, args: readonly string[]): boolean {
  return error.exitCode === 0 && args.length > 0;
}

function buildProgram(context: Context): Command {
  const { terminal } = context;
  const program = new Command('penstock')
    .description('Port forwarding and load balancing on this host’s kernel, declared and queried over gRPC.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print the help of a command')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.out.write(text),
      writeErr: (text) => terminal.err.write(text),
      getOutHasColors: () => terminal.out.colours,
      getErrHasColors: () => terminal.err.colours,
    })
    .showHelpAfterError('(--help explains)')
    .addHelpText('after', epilogue)
    .exitOverride();
  addGlobalOptions(program);
  addAgent(program, context);
  addFlush(program, context);
  addApply(program, context);
  addDiff(program, context);
  addDelete(program, context);
  const get = program.command('get').description('show what the gateway is told, and what it forwards');
  addGetMappings(get, context);
  addGetLoadBalancers(get, context);
  addGetHealth(get, context);
  addGetFlows(get, context);
  addGetOutbound(get, context);
  const member = program.command('member').description('add, change and remove single machines of a pool');
  addMemberAdd(member, context);
  addMemberRemove(member, context);
  addStatus(program, context);
  addWatch(program, context);
  addDoctor(program, context);
  return program;
}

function unexpected(error: unknown): CommandError {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new CommandError(exit.agentFailed, text);
}

function report({ err }: Terminal, failure: CommandError): void {
  const lines = [
    `${paint(err, 'red', 'error:')} ${safeLines(failure.message)}`,
    ...failure.details.map(
      ({ place, text }) => `  ${place === '' ? '' : `${plainText(place)}: `}${safeLines(text)}`,
    ),
    ...(failure.remedy === '' ? [] : [failure.remedy]),
  ];
  err.write(`${lines.join('\n')}\n`);
}

/** Texts may have lines, such as a log of the kernel's; other control characters are made visible. */
function safeLines(text: string): string {
  return text.split('\n').map(plainText).join('\n  ');
}
