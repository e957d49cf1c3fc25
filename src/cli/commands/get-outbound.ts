// `penstock get outbound`: which ports the machines of outbound rules have, and how many of them are in use.
import type { Command } from 'commander';
import type { Answer } from '../../wire/client.ts';
import { type Context, globalsOf, type OutputFormat, outputOption } from '../context.ts';
import { time } from '../output/format.ts';
import { writeList } from '../output/list.ts';
import { outboundCells, outboundColumns } from '../output/outbound.ts';
import { Table } from '../output/table.ts';
import type { Channel } from '../terminal.ts';

interface Options {
  readonly lb?: string;
  readonly rule?: string;
  readonly member?: string;
  readonly memberAddress?: string;
  readonly frontend?: string;
  readonly output: OutputFormat;
}

export function addGetOutbound(get: Command, context: Context): void {
  get
    .command('outbound')
    .description('the ports that machines reach out from by outbound rules, and how many are in use')
    .option('--lb <name>', 'of this load balancer')
    .option('--rule <name>', 'of this outbound rule')
    .option('--member <id>', 'of this member')
    .option('--member-address <ip>', 'of this machine’s address')
    .option('--frontend <ip>', 'of this frontend address')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
USED counts the ports in use towards the one destination that has most of them, which BUSIEST names: towards each
destination (address, port and protocol) a member can use all of its ports anew. At 75 % the level is low, and when
all are in use exhausted: then new connections to that destination fail. "penstock watch" tells when a member
reaches another level, "penstock status" warns of those that are not at their normal one.
-o wide adds since when the member has these ports.

Examples:
  $ penstock get outbound --lb web
  $ penstock get outbound --member vm-7       from which addresses and ports does vm-7 reach out?
  $ penstock get outbound -o json | jq '.members[] | select(.level != "OUTBOUND_LEVEL_NORMAL")'`,
    )
    .action(async (options: Options, command: Command) => {
      const { withGateway } = await import('../connection.ts');
      const request = {
        loadBalancer: options.lb ?? '',
        rule: options.rule ?? '',
        member: options.member ?? '',
        memberAddress: options.memberAddress ?? '',
        frontendAddress: options.frontend ?? '',
      };
      const { out } = context.terminal;
      await withGateway(globalsOf(command), async ({ client, reading }) => {
        const chunks = client.listOutboundPorts(request, reading);
        switch (options.output) {
          case 'table':
          case 'wide':
            return await writeTable(out, chunks, options.output === 'wide');
          case 'json':
          case 'yaml':
            return await writeList(out, options.output, 'ListOutboundPortsResponse', 'members', chunks);
        }
      });
    });
}

type Chunks = AsyncIterable<Answer<'ListOutboundPortsResponse'>>;

async function writeTable(out: Channel, chunks: Chunks, wide: boolean): Promise<void> {
  const table = new Table(out, wide ? [...outboundColumns, { title: 'SINCE' }] : outboundColumns);
  for await (const { members } of chunks) {
    table.write(members.map((one) => [...outboundCells(out, one), ...(wide ? [time(one.assigned)] : [])]));
  }
  if (table.rows === 0) out.write('no outbound ports\n');
}
