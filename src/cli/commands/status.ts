// `penstock status`: what the gateway is and runs, and what an operator should look at.
import type { Command } from 'commander';
import type { Answer } from '../../wire/client.ts';
import { type Context, globalsOf, type OutputFormat, outputOption } from '../context.ts';
import { writeMessage } from '../output/answer.ts';
import { paint } from '../output/colour.ts';
import { dataPlaneFacts } from '../output/data-plane.ts';
import { age, count, counted, plainText, time } from '../output/format.ts';
import type { Channel } from '../terminal.ts';

export function addStatus(program: Command, context: Context): void {
  program
    .command('status')
    .description('what the gateway is and runs, with warnings and what mends them')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
-o wide also lists the data plane's maps and the reasons why packets were not simply
forwarded, and the settings and addresses that the agent put on the host.

Example:
  $ penstock status -o wide`,
    )
    .action(async ({ output }: { readonly output: OutputFormat }, command: Command) => {
      const globals = globalsOf(command);
      const { withGateway } = await import('../connection.ts');
      const status = await withGateway(globals, ({ client, reading }) => client.getStatus(reading));
      const { out } = context.terminal;
      switch (output) {
        case 'table':
        case 'wide':
          writeStatus(out, globals.address, status, output === 'wide');
          return;
        case 'json':
        case 'yaml':
          await writeMessage(out, output, 'GetStatusResponse', status);
      }
    });
}

function writeStatus(
  out: Channel,
  address: string,
  status: Answer<'GetStatusResponse'>,
  wide: boolean,
): void {
  const behind = status.dataPlaneRevision !== status.revision;
  const facts: readonly (readonly [string, string])[] = [
    [
      'agent',
      `${status.version} at ${address}, up ${age(status.started, Date.now())} (since ${time(status.started)})`,
    ],
    ['data plane', [status.dataPlane, status.dataPlaneVersion].filter((text) => text !== '').join(': ')],
    ['revision', `${status.revision}${behind ? ` (the kernel runs ${status.dataPlaneRevision})` : ''}`],
    ['load balancers', count(status.loadBalancers)],
    [
      'rules',
      [
        `${count(status.inboundNatRules)} inbound NAT`,
        `${count(status.loadBalancingRules)} load balancing`,
        ...(status.outboundRules === 0 ? [] : [`${count(status.outboundRules)} outbound`]),
      ].join(', '),
    ],
    ['members', count(status.members)],
    ['port mappings', count(status.portMappings)],
    ...probeFacts(status),
    ...dataPlaneFacts(status, wide),
    ...(wide ? hostFacts(status) : []),
    ['warnings', status.warnings.length === 0 ? 'none' : ''],
  ];
  const width = Math.max(...facts.map(([name]) => name.length)) + 3;
  for (const [name, value] of facts) {
    out.write(`${paint(out, 'bold', name)}${' '.repeat(width - name.length)}${plainText(value)}`.trimEnd());
    out.write('\n');
  }
  for (const { code, message, remedy } of status.warnings) {
    out.write(`  ${paint(out, 'yellow', plainText(code))}: ${plainText(message)}\n`);
    if (remedy !== '') out.write(`    ${plainText(remedy)}\n`);
  }
  if (!wide && status.hostSettings.length + status.hostAddresses.length > 0) {
    const settings = counted(status.hostSettings.length, 'setting');
    const addresses = counted(status.hostAddresses.length, 'address').replace('addresss', 'addresses');
    out.write(`${settings} and ${addresses} on this host are the agent’s (-o wide lists them)\n`);
  }
}

function probeFacts({ probes }: Answer<'GetStatusResponse'>): readonly (readonly [string, string])[] {
  if (!probes) return [];
  const { targets, up, down, unknown, flapping, lateness } = probes;
  const late = (lateness?.seconds ?? 0) * 1_000 + (lateness?.nanos ?? 0) / 1_000_000;
  const parts = [
    `${count(up)} up`,
    `${count(down)} down${flapping > 0 ? ` (${count(flapping)} flapping)` : ''}`,
    ...(unknown > 0 ? [`${count(unknown)} not known yet`] : []),
    ...(late >= 500 ? [`up to ${(late / 1_000).toFixed(1)} s late`] : []),
  ];
  return [['probes', `${counted(targets, 'target')}: ${parts.join(', ')}`]];
}

function hostFacts(status: Answer<'GetStatusResponse'>): readonly (readonly [string, string])[] {
  return [
    ...status.hostSettings.map(
      ({ name, value, valueBefore }) =>
        ['setting', `${name} = ${value}${value === valueBefore ? '' : ` (before: ${valueBefore})`}`] as const,
    ),
    ...status.hostAddresses.map(
      (one) =>
        ['address', `${one.address} on ${one.interface}${one.added ? '' : ' (was there before)'}`] as const,
    ),
  ];
}
