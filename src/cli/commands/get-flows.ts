// `penstock get flows`: who talks to which machine through which rule, right now.
import { type Command, Option } from 'commander';
import type { Answer } from '../../wire/client.ts';
import { type Context, globalsOf, type OutputFormat, outputOption, wholeNumber } from '../context.ts';
import { type FrontendFilter, frontendFilter } from '../frontend-filter.ts';
import { byteCount, count, endpoint, plainText, protocolName } from '../output/format.ts';
import { writeList } from '../output/list.ts';
import { type Column, Table } from '../output/table.ts';
import type { Channel } from '../terminal.ts';

interface Options {
  readonly lb?: string;
  readonly rule?: string;
  readonly pool?: string;
  readonly member?: string;
  readonly memberAddress?: string;
  readonly frontend?: FrontendFilter;
  readonly peer?: string;
  readonly limit: number;
  readonly output: OutputFormat;
}

export function addGetFlows(get: Command, context: Context): void {
  get
    .command('flows')
    .alias('flow')
    .description('live flows by rule or member')
    .option('--lb <name>', 'of this load balancer')
    .option('--rule <name>', 'of this rule, of any kind')
    .option('--pool <name>', 'of this backend pool')
    .option('--member <id>', 'of this member')
    .option('--member-address <ip>', 'of this machine’s address')
    .addOption(
      new Option('--frontend <address[:port]>', 'through this frontend address (and port)').argParser(
        frontendFilter,
      ),
    )
    .option('--peer <ip>', 'of this client, or with whom machines talk by outbound rules')
    .addOption(
      new Option('--limit <number>', 'list at most so many')
        .argParser(wholeNumber(1, 100_000))
        .default(1_000),
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Flows are read from the kernel's connection tracking and, with XDP, from its flow table; those that are over are left
out. Where there are more than --limit, the last line says so, and which are listed is left to chance. XDP keeps no
state of flows through inbound NAT rules, so it has none of those to list.
OUT marks connections that a machine has begun itself, by an outbound rule. -o wide adds who keeps the flow and, where
the kernel counts (sysctl net.netfilter.nf_conntrack_acct=1), its traffic.

Examples:
  $ penstock get flows --lb web --member vm-7              is anybody still there? before its removal
  $ penstock get flows --rule https --limit 20
  $ penstock get flows --frontend 203.0.113.10:443 --peer 198.51.100.7
  $ penstock get flows --limit 100000 -o json | jq -r '.flows[].peerAddress' | sort | uniq -c`,
    )
    .action(async (options: Options, command: Command) => {
      const { withGateway } = await import('../connection.ts');
      const request = {
        loadBalancer: options.lb ?? '',
        rule: options.rule ?? '',
        backendPool: options.pool ?? '',
        member: options.member ?? '',
        memberAddress: options.memberAddress ?? '',
        frontendAddress: options.frontend?.address ?? '',
        frontendPort: options.frontend?.port ?? 0,
        peerAddress: options.peer ?? '',
        limit: options.limit,
      };
      const { out } = context.terminal;
      await withGateway(globalsOf(command), async ({ client, reading }) => {
        const chunks = client.listFlows(request, reading);
        switch (options.output) {
          case 'table':
          case 'wide':
            return await writeTable(out, chunks, options.output === 'wide');
          case 'json':
          case 'yaml':
            return await writeList(out, options.output, 'ListFlowsResponse', 'flows', chunks);
        }
      });
    });
}

type Chunks = AsyncIterable<Answer<'ListFlowsResponse'>>;
type Flow = Answer<'Flow'>;

const columns: readonly Column[] = [
  { title: 'LOAD BALANCER' },
  { title: 'RULE' },
  { title: 'WAY' },
  { title: 'PEER' },
  { title: 'FRONTEND' },
  { title: 'MEMBER' },
  { title: 'BACKEND' },
  { title: 'STATE' },
];
const wideColumns: readonly Column[] = [
  { title: 'KEPT BY' },
  { title: 'PACKETS', align: 'right' },
  { title: 'TRAFFIC', align: 'right' },
];

async function writeTable(out: Channel, chunks: Chunks, wide: boolean): Promise<void> {
  const table = new Table(out, wide ? [...columns, ...wideColumns] : columns);
  let more = false;
  for await (const chunk of chunks) {
    more ||= chunk.more;
    table.write(chunk.flows.map((flow) => [...cells(flow), ...(wide ? wideCells(flow) : [])]));
  }
  if (table.rows === 0) out.write('no flows\n');
  if (more) out.write(`... and more: --limit ${count(table.rows)} was reached\n`);
}

function cells(flow: Flow): readonly string[] {
  return [
    plainText(flow.loadBalancer),
    plainText(flow.rule),
    directions[flow.direction] ?? '',
    endpoint(flow.peerAddress, flow.peerPort),
    `${endpoint(flow.frontendAddress, flow.frontendPort)}/${protocolName(flow.protocol)}`,
    plainText(flow.member) || '-',
    endpoint(flow.backendAddress, flow.backendPort),
    states[flow.state] ?? '',
  ];
}

function wideCells(flow: Flow): readonly string[] {
  const counted = flow.packets > 0;
  return [flow.keptBy, counted ? count(flow.packets) : '-', counted ? byteCount(flow.bytes) : '-'];
}

// Not from the generated messages, whose loading `--help` must not wait for.
const directions: readonly string[] = ['', 'IN', 'OUT'];
const states: readonly string[] = ['', 'new', 'established', 'closing'];
