// What every command is given: where to write, the options that all share, and how to end.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ExitCode } from './exit.ts';
import { parseDuration } from './file/duration.ts';
import type { Terminal } from './terminal.ts';

export interface Context {
  readonly terminal: Terminal;
  readonly stdin: NodeJS.ReadableStream;
  /** Sets the exit code; a command that says nothing ends with 0. */
  finish(code: ExitCode): void;
}

export const defaultAddress = 'unix:/run/penstock/penstock.sock';

/** The options that stand before or after any command. */
export interface Globals {
  readonly address: string;
  /** Milliseconds; absent where each command takes its own. */
  readonly timeout?: number;
  readonly tls?: boolean;
  readonly caCert?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
}

export function addGlobalOptions(program: Command): void {
  program
    .addOption(
      new Option('--address <address>', 'where the agent listens: unix:/path or host:port')
        .env('PENSTOCK_ADDRESS')
        .default(defaultAddress),
    )
    .addOption(
      new Option(
        '--timeout <duration>',
        'give up after this time, such as 30s (default: 30s, changes 5m)',
      ).argParser(milliseconds),
    )
    .addOption(new Option('--tls', 'use TLS, trusting the authorities of this system'))
    .addOption(new Option('--ca-cert <file>', 'use TLS, trusting this authority').env('PENSTOCK_CA_CERT'))
    .addOption(
      new Option('--client-cert <file>', 'certificate to show to the agent').env('PENSTOCK_CLIENT_CERT'),
    )
    .addOption(new Option('--client-key <file>', 'key of that certificate').env('PENSTOCK_CLIENT_KEY'));
}

/** The shared options of the program that a command belongs to. */
export function globalsOf(command: Command): Globals {
  return command.optsWithGlobals<Globals>();
}

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml';

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print')
    .choices(['table', 'wide', 'json', 'yaml'])
    .default('table');
}

export function fileOption(): Option {
  return new Option('-f, --file <file>', 'YAML or JSON file, - for standard input (repeatable)')
    .argParser(collect)
    .makeOptionMandatory();
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** An option's whole number within bounds. */
export function wholeNumber(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < least || number > most) {
      throw new InvalidArgumentError(`It must be a whole number, ${least} to ${most}.`);
    }
    return number;
  };
}

function milliseconds(value: string): number {
  const duration = parseDuration(value);
  if (duration === undefined || (duration.seconds === 0 && duration.nanos === 0)) {
    throw new InvalidArgumentError('It must be a duration such as 30s, 500ms or 2m.');
  }
  return duration.seconds * 1000 + duration.nanos / 1_000_000;
}
