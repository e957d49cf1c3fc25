// A member's outbound ports, as a line of a table or of `penstock watch`.
import type { Answer } from '../../wire/client.ts';
import type { Channel } from '../terminal.ts';
import { paint } from './colour.ts';
import { count, counted, endpoint, plainText, protocolName } from './format.ts';
import type { Column } from './table.ts';

type OutboundPorts = Answer<'OutboundPorts'>;

export const outboundColumns: readonly Column[] = [
  { title: 'LOAD BALANCER' },
  { title: 'RULE' },
  { title: 'MEMBER' },
  { title: 'BACKEND' },
  { title: 'PORTS' },
  { title: 'FLOWS', align: 'right' },
  { title: 'USED', align: 'right' },
  { title: 'LEVEL' },
  { title: 'BUSIEST' },
];

export function outboundCells(out: Channel, one: OutboundPorts): readonly string[] {
  const ports = one.lastPort - one.firstPort + 1;
  return [
    plainText(one.loadBalancer),
    plainText(one.rule),
    plainText(one.member),
    one.backendAddress,
    `${endpoint(one.frontendAddress, one.firstPort)}-${one.lastPort}/${protocolName(one.protocol)}`,
    count(one.flows),
    `${count(one.used)} of ${count(ports)}`,
    levelText(out, one.level),
    one.busiest || '-',
  ];
}

/** `web/out: vm-7 uses 6 of its 8 ports towards 198.51.100.7:443/tcp: low`. */
export function outboundText(out: Channel, one: OutboundPorts): string {
  const ports = counted(one.lastPort - one.firstPort + 1, 'port');
  const place = `${plainText(one.loadBalancer)}/${plainText(one.rule)}: ${plainText(one.member)}`;
  const towards = one.busiest === '' ? '' : ` towards ${one.busiest}`;
  return `${place} uses ${count(one.used)} of its ${ports}${towards}: ${levelText(out, one.level)}`;
}

function levelText(out: Channel, level: number): string {
  // Not from the generated messages, whose loading `--help` must not wait for.
  const text = ['', 'normal', 'low', 'exhausted'][level] ?? '';
  if (level === 2) return paint(out, 'yellow', text);
  return level === 3 ? paint(out, 'red', text) : text;
}
