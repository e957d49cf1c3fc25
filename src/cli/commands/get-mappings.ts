// `penstock get mappings`: which frontend port leads to which machine, and the reverse.
import { isIP } from 'node:net';
import { type Command, Option } from 'commander';
import type { Answer, Message } from '../../wire/client.ts';
import {
  type Context,
  defaultAddress,
  type Globals,
  globalsOf,
  type OutputFormat,
  outputOption,
  wholeNumber,
} from '../context.ts';
import { usageError } from '../exit.ts';
import { type FrontendFilter, frontendFilter } from '../frontend-filter.ts';
import { backendEndpoint, byteCount, count, frontendEndpoint, plainText, time } from '../output/format.ts';
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
  readonly port?: number;
  readonly counters: boolean;
  readonly output: OutputFormat;
}

export function addGetMappings(get: Command, context: Context): void {
  get
    .command('mappings')
    .alias('mapping')
    .description('which frontend port leads to which machine, and the reverse')
    .option('--lb <name>', 'of this load balancer')
    .option('--rule <name>', 'of this rule')
    .option('--pool <name>', 'of this backend pool')
    .option('--member <id>', 'to this member')
    .option('--member-address <ip>', 'to this machine’s address (so does --address with an IP address alone)')
    .addOption(
      new Option('--frontend <address[:port]>', 'from this frontend address (and port)').argParser(
        frontendFilter,
      ),
    )
    .addOption(new Option('--port <port>', 'from this frontend port').argParser(wholeNumber(1, 65_535)))
    .option('--no-counters', 'leave the counters out, which is faster')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
-o wide adds counters and times, and how full the range of each rule is.

Examples:
  $ penstock get mappings --lb web --rule ssh       all machines of a rule
  $ penstock get mappings --member vm-7 -o wide     how do I reach vm-7?
  $ penstock get mappings --frontend 203.0.113.10:500    who is behind this port?
  $ penstock get mappings --frontend '[2001:db8::10]:500' -o json`,
    )
    .action(async (options: Options, command: Command) => {
      await getMappings(context, options, globalsOf(command));
    });
}

async function getMappings(context: Context, options: Options, globals: Globals): Promise<void> {
  const counters = options.counters && options.output !== 'table';
  const request: Message<'ListPortMappingsRequest'> = {
    ...filterOf(options, globals),
    skipCounters: !counters,
  };
  const { withGateway } = await import('../connection.ts');
  const { out } = context.terminal;
  await withGateway(agentOf(globals), async ({ client, reading }) => {
    const chunks = client.listPortMappings(request, reading);
    switch (options.output) {
      case 'table':
      case 'wide':
        return await writeTable(out, chunks, { wide: options.output === 'wide', counters });
      case 'json':
      case 'yaml':
        return await writeList(out, options.output, 'ListPortMappingsResponse', 'mappings', chunks);
    }
  });
}

// A bare IP address names no agent, which needs a port: here it can only be meant as the machine's.
function isMachineAddress(address: string): boolean {
  return isIP(address) !== 0;
}

function agentOf(globals: Globals): Globals {
  if (!isMachineAddress(globals.address)) return globals;
  return { ...globals, address: process.env.PENSTOCK_ADDRESS ?? defaultAddress };
}

function filterOf(options: Options, globals: Globals): Message<'ListPortMappingsRequest'> {
  const { frontend, port } = options;
  if (frontend !== undefined && frontend.port !== 0 && port !== undefined && port !== frontend.port) {
    throw usageError(`--frontend names port ${frontend.port} and --port another, ${port}`);
  }
  return {
    loadBalancer: options.lb ?? '',
    rule: options.rule ?? '',
    backendPool: options.pool ?? '',
    member: options.member ?? '',
    memberAddress: options.memberAddress ?? (isMachineAddress(globals.address) ? globals.address : ''),
    frontendAddress: frontend?.address ?? '',
    frontendPort: port ?? frontend?.port ?? 0,
  };
}

type Chunks = AsyncIterable<Answer<'ListPortMappingsResponse'>>;

const columns: readonly Column[] = [
  { title: 'LOAD BALANCER' },
  { title: 'RULE' },
  { title: 'FRONTEND' },
  { title: 'MEMBER' },
  { title: 'BACKEND' },
];
const counterColumns: readonly Column[] = [
  { title: 'PACKETS', align: 'right' },
  { title: 'TRAFFIC', align: 'right' },
  { title: 'FLOWS', align: 'right' },
];

async function writeTable(
  out: Channel,
  chunks: Chunks,
  shown: { readonly wide: boolean; readonly counters: boolean },
): Promise<void> {
  const table = new Table(out, [
    ...columns,
    ...(shown.wide ? [{ title: 'SINCE' }] : []),
    ...(shown.counters ? counterColumns : []),
  ]);
  const ranges: Answer<'PortRange'>[] = [];
  for await (const chunk of chunks) {
    ranges.push(...chunk.ranges);
    table.write(
      chunk.mappings.map((mapping) => [
        plainText(mapping.loadBalancer),
        plainText(mapping.rule),
        frontendEndpoint(mapping),
        plainText(mapping.member) || '-',
        backendEndpoint(mapping),
        ...(shown.wide ? [time(mapping.assigned)] : []),
        ...(shown.counters ? counterCells(mapping.counters) : []),
      ]),
    );
  }
  if (table.rows === 0) out.write('no mappings\n');
  if (shown.wide) writeRanges(out, ranges);
}

function counterCells(counters: Answer<'Counters'> | null): readonly string[] {
  // Absent where the kernel does not run the mapping.
  if (counters === null || counters === undefined) return ['-', '-', '-'];
  return [count(counters.packets), byteCount(counters.bytes), count(counters.flows)];
}

function writeRanges(out: Channel, ranges: readonly Answer<'PortRange'>[]): void {
  if (ranges.length === 0) return;
  out.write('\n');
  new Table(out, [
    { title: 'LOAD BALANCER' },
    { title: 'RULE' },
    { title: 'POOL' },
    { title: 'RANGE' },
    { title: 'CAPACITY', align: 'right' },
    { title: 'USED', align: 'right' },
    { title: 'FREE', align: 'right' },
    { title: 'NEXT PORT', align: 'right' },
  ]).write(
    ranges.map((range) => [
      plainText(range.loadBalancer),
      plainText(range.rule),
      plainText(range.backendPool),
      `${range.frontendPortRangeStart}-${range.frontendPortRangeEnd}`,
      count(range.capacity),
      count(range.used),
      count(range.free),
      range.nextPort === 0 ? 'full' : String(range.nextPort),
    ]),
  );
}
