// The commands from argument to exit code, against an agent of canned answers on a real socket: a new one for each test.
import { Readable } from 'node:stream';
import { afterEach, beforeEach } from 'vitest';
import type { ExitCode } from '../exit.ts';
import { run } from '../program.ts';
import { FakeGateway } from './fake-gateway.ts';
import { RecordedTerminal } from './recorded-terminal.ts';

export interface CommandUnderTest {
  readonly gateway: FakeGateway;
  /** Runs one command line against the gateway. */
  penstock(args: readonly string[], stdin?: string): Promise<Done>;
}

export interface Done {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

/** Call it at the top of a test file. */
export function commandUnderTest(): CommandUnderTest {
  let started: FakeGateway | undefined;
  const gateway = (): FakeGateway => {
    if (started === undefined) throw new Error('only within tests');
    return started;
  };
  beforeEach(async () => {
    started = await FakeGateway.start();
  });
  afterEach(async () => {
    await gateway().stop();
  });
  return {
    get gateway() {
      return gateway();
    },
    async penstock(args, stdin = '') {
      const terminal = new RecordedTerminal();
      const code = await run(['--address', gateway().address, ...args], terminal, Readable.from([stdin]));
      return { code, stdout: terminal.stdout, stderr: terminal.stderr };
    },
  };
}
