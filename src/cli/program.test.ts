// What all commands share, from argument to exit code.
import { describe, expect, it } from 'vitest';
import { run } from './program.ts';
import { commandUnderTest } from './testing/command-under-test.ts';
import { refusal } from './testing/fake-gateway.ts';
import { RecordedTerminal } from './testing/recorded-terminal.ts';
import { mapping } from './testing/samples.ts';

const cli = commandUnderTest();

describe('the command', () => {
  it('says what to do when there is no agent', async () => {
    const { code, stderr } = await cli.penstock(['status', '--address', 'unix:/nonexistent/socket']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^error: cannot reach the agent at unix:\/nonexistent\/socket: /);
    expect(stderr).toContain('is the agent running?');
    expect(stderr).toContain('PENSTOCK_ADDRESS');
  });

  it('ends with 4 when the agent fails', async () => {
    cli.gateway.refusals = [{ ...refusal('INTERNAL', 'nft crashed'), code: 13 }];
    expect((await cli.penstock(['apply', '-f', '-'], 'name: a')).code).toBe(4);
  });

  it.each([[['--help']], [['help']], [['apply', '--help']], [['get', '--help']], [['--version']]])(
    '%j is done well',
    async (args) => {
      const { code, stdout, stderr } = await cli.penstock(args);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).not.toBe('');
    },
  );

  it.each([
    [['frobnicate']],
    [['get']],
    [['get', 'nothing']],
    [['apply']],
    [['--timeout', '5', 'status']],
    [['--address', 'nowhere', 'status']],
  ])('%j is wrong usage', async (args) => {
    const { code, stdout, stderr } = await cli.penstock(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).not.toBe('');
  });

  it.each([
    [['--listen', 'tcp://192.0.2.1:7443']],
    [['--listen', 'nowhere']],
    [['--tls-cert', 'a.pem']],
    [['--dataplane', 'magic']],
    [['--interface', 'eth0']],
    [['--flow-table-size', '4096']],
    [['--flowtable', 'on']],
    [['--dataplane', 'xdp', '--flowtable', 'auto']],
    [['--dataplane', 'xdp', '--interface', 'a/b']],
    [['--dataplane', 'xdp', '--interface', 'sixteen-letters0']],
    [['--dataplane', 'xdp', '--interface', '']],
    [['--dataplane', 'xdp', '--flow-table-size', '1023']],
    [['--dataplane', 'xdp', '--flow-table-size', '16777217']],
    [['--dataplane', 'xdp', '--flow-table-size', 'many']],
  ])('agent %j does not start', async (args) => {
    expect((await cli.penstock(['agent', ...args])).code).toBe(2);
  });

  it('paints only where colours are wanted', async () => {
    const terminal = new RecordedTerminal(true);
    cli.gateway.mappingChunks = [{ revision: 1, mappings: [mapping] }];
    await run(['get', 'mappings', '--address', cli.gateway.address], terminal);
    expect(terminal.stdout).toMatch(/^.\[1mLOAD BALANCER.*.\[0m\n/);
  });
});
