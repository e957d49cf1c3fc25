// `penstock agent`: runs the gateway on this host.
import { type Command, Option } from 'commander';
import { type Context, collect, defaultAddress } from '../context.ts';
import { exit, usageError } from '../exit.ts';

interface Options {
  readonly stateDirectory: string;
  readonly listen?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly insecure?: boolean;
  readonly dataplane: 'nftables';
  readonly flushOnExit?: boolean;
  readonly logLevel: string;
  readonly logFormat?: 'json' | 'pretty';
}

export function addAgent(program: Command, context: Context): void {
  program
    .command('agent')
    .description('run the gateway on this host, until it is told to stop (as root)')
    .option('--state-directory <directory>', 'where what is declared is kept', '/var/lib/penstock')
    .addOption(
      new Option(
        '--listen <address>',
        `unix:/path, or tcp://host:port (repeatable; default: ${defaultAddress})`,
      ).argParser(collect),
    )
    .option('--tls-cert <file>', 'certificate of the agent, for tcp://')
    .option('--tls-key <file>', 'key of that certificate')
    .option('--tls-client-ca <file>', 'let in only clients with a certificate of this authority')
    .option('--insecure', 'listen on tcp:// without TLS: whoever reaches the port rules the gateway')
    .addOption(new Option('--dataplane <name>', 'what forwards').choices(['nftables']).default('nftables'))
    .option('--flush-on-exit', 'stop forwarding when the agent stops; by default the kernel goes on')
    .addOption(
      new Option('--log-level <level>', 'the least that is logged')
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
        .default('info'),
    )
    .addOption(
      new Option('--log-format <format>', '(default: pretty on a terminal, else json)').choices([
        'json',
        'pretty',
      ]),
    )
    .addHelpText(
      'after',
      `
What was applied survives a restart of the agent and of the host. While the agent is
stopped the kernel goes on forwarding; \`penstock flush\` takes everything away.

Examples:
  $ sudo penstock agent
  $ sudo penstock agent --listen unix:/run/penstock/penstock.sock \\
      --listen tcp://192.0.2.1:7443 --tls-cert agent.pem --tls-key agent.key --tls-client-ca ca.pem`,
    )
    .action(async (options: Options) => {
      const listen = options.listen ?? [defaultAddress];
      const tls = tlsOf(options);
      for (const address of listen) checkListen(address, tls !== undefined || options.insecure === true);
      const { runAgent } = await import('../../agent/agent.ts');
      const code = await runAgent({
        stateDirectory: options.stateDirectory,
        listen,
        ...(tls === undefined ? {} : { tls }),
        insecure: options.insecure ?? false,
        dataplane: options.dataplane,
        flushOnExit: options.flushOnExit ?? false,
        logLevel: options.logLevel,
        logFormat: options.logFormat ?? (context.terminal.err.isTerminal ? 'pretty' : 'json'),
      });
      context.finish(code === 0 ? exit.done : exit.agentFailed);
    });
}

interface Tls {
  readonly certificate: string;
  readonly key: string;
  readonly clientAuthority?: string;
}

function tlsOf({ tlsCert, tlsKey, tlsClientCa }: Options): Tls | undefined {
  if (tlsCert === undefined && tlsKey === undefined) {
    if (tlsClientCa !== undefined) throw usageError('--tls-client-ca needs --tls-cert and --tls-key');
    return undefined;
  }
  if (tlsCert === undefined || tlsKey === undefined) throw usageError('--tls-cert and --tls-key go together');
  return {
    certificate: tlsCert,
    key: tlsKey,
    ...(tlsClientCa === undefined ? {} : { clientAuthority: tlsClientCa }),
  };
}

function checkListen(address: string, guarded: boolean): void {
  if (/^unix:(?:\/\/)?./.test(address)) return;
  const host = /^(?:tcp:\/\/)?(?<host>\[[^\]]+\]|[^:/]+):\d{1,5}$/.exec(address)?.groups?.host;
  if (host === undefined) throw usageError(`--listen ${address}: give unix:/path or tcp://host:port`);
  const loopback = host === 'localhost' || host === '[::1]' || host.startsWith('127.');
  if (!guarded && !loopback) {
    throw usageError(
      `--listen ${address} would let in anybody`,
      'give --tls-cert, --tls-key and --tls-client-ca; or --insecure, where only you reach the port',
    );
  }
}
