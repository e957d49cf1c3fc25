// `penstock agent`: runs the gateway on this host.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Context, collect, defaultAddress, wholeNumber } from '../context.ts';
import { exit, usageError } from '../exit.ts';

/** Off: packets that bypass the rules are not counted by mapping, and pass the rules of others unseen. */
const defaultFlowtable = 'off';
/** 18.7 MB. */
const defaultFlowTableSize = 262_144;
/** The most take 1.2 GB. */
const [leastFlows, mostFlows] = [1_024, 16_777_216] as const;

interface Options {
  readonly stateDirectory: string;
  readonly listen?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly insecure?: boolean;
  readonly dataplane: 'nftables' | 'xdp';
  readonly flowtable?: 'auto' | 'off';
  readonly interface?: readonly string[];
  readonly flowTableSize?: number;
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
    .addOption(
      new Option(
        '--dataplane <name>',
        'what forwards: nftables, or XDP programs that hand it what they leave',
      )
        .choices(['nftables', 'xdp'])
        .default('nftables'),
    )
    .addOption(
      new Option(
        '--flowtable <use>',
        `let established flows bypass the rules of nftables: auto (where the kernel can) or off (default: ${defaultFlowtable})`,
      ).choices(['auto', 'off']),
    )
    .addOption(
      new Option(
        '--interface <name>',
        'run XDP here (repeatable; default: wherever routes to clients and members lead)',
      ).argParser(interfaceName),
    )
    .addOption(
      new Option(
        '--flow-table-size <flows>',
        `flows that XDP is to keep for balanced rules; takes 102 to 205 bytes for each (default: ${defaultFlowTableSize})`,
      ).argParser(wholeNumber(leastFlows, mostFlows)),
    )
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
With --dataplane xdp packets are forwarded where the network card hands them over; what
XDP cannot finish goes on to the same rules in nftables. \`penstock status\` shows on which
interfaces the driver runs it. Starting with the other data plane switches over, and
interrupts no flow.

With --flowtable auto the kernel forwards established flows past all rules, those of others
included, and \`penstock get mappings\` counts no packets and bytes of theirs. A change that ends
flows ends these too; while one is made all flows take the rules.

What was applied survives a restart of the agent and of the host. While the agent is
stopped the kernel goes on forwarding; \`penstock flush\` takes everything away.

Examples:
  $ sudo penstock agent
  $ sudo penstock agent --dataplane xdp --interface eth0 --interface eth1
  $ sudo penstock agent --listen unix:/run/penstock/penstock.sock \\
      --listen tcp://192.0.2.1:7443 --tls-cert agent.pem --tls-key agent.key --tls-client-ca ca.pem`,
    )
    .action(async (options: Options) => {
      const listen = options.listen ?? [defaultAddress];
      const tls = tlsOf(options);
      checkDataPlane(options);
      for (const address of listen) checkListen(address, tls !== undefined || options.insecure === true);
      const { runAgent } = await import('../../agent/agent.ts');
      const code = await runAgent({
        stateDirectory: options.stateDirectory,
        listen,
        ...(tls === undefined ? {} : { tls }),
        insecure: options.insecure ?? false,
        dataplane: options.dataplane,
        flowtable: options.flowtable ?? defaultFlowtable,
        interfaces: options.interface ?? 'auto',
        flowTableSize: options.flowTableSize ?? defaultFlowTableSize,
        flushOnExit: options.flushOnExit ?? false,
        logLevel: options.logLevel,
        logFormat: options.logFormat ?? (context.terminal.err.isTerminal ? 'pretty' : 'json'),
      });
      context.finish(code === 0 ? exit.done : exit.agentFailed);
    });
}

function checkDataPlane({ dataplane, flowtable, interface: interfaces, flowTableSize }: Options): void {
  if (dataplane === 'xdp') {
    if (flowtable !== undefined) throw usageError('--flowtable needs --dataplane nftables');
    return;
  }
  if (interfaces !== undefined) throw usageError('--interface needs --dataplane xdp');
  if (flowTableSize !== undefined) throw usageError('--flow-table-size needs --dataplane xdp');
}

/** As the kernel allows them (dev_valid_name). */
function interfaceName(value: string, before: readonly string[] | undefined): readonly string[] {
  if (!/^[^\s/:]{1,15}$/.test(value) || value === '.' || value === '..') {
    throw new InvalidArgumentError('It must be the name of a network interface, such as eth0.');
  }
  return collect(value, before);
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
