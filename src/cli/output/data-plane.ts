// What the data plane tells about itself, as lines of `penstock status`: a name and a text each.
import type { Answer } from '../../wire/client.ts';
import { byteCount, count, counted } from './format.ts';

type Status = Answer<'GetStatusResponse'>;
type Fact = readonly [name: string, text: string];

/** Interfaces, flow table, memory and packets; `wide` adds each map and each reason. */
export function dataPlaneFacts(status: Status, wide: boolean): readonly Fact[] {
  const { interfaces, flowTable, maps, packetReasons, notes } = status;
  return [
    ...interfaces.map((one): Fact => ['interface', interfaceText(one)]),
    ...(flowTable ? [['flow table', flowTableText(flowTable)] as const] : []),
    ...(maps.length > 0 ? [['map memory', memoryText(status)] as const] : []),
    ...(wide ? maps.map((one): Fact => ['map', mapText(one)]) : []),
    ...(packetReasons.length > 0 ? [['packets', packetsText(packetReasons)] as const] : []),
    ...(wide ? packetReasons.map((one): Fact => [outcomeName(one.outcome), reasonText(one)]) : []),
    ...notes.map((text): Fact => ['note', text]),
  ];
}

function interfaceText({ name, xdpMode, driver, reason, multiBuffer }: Answer<'InterfaceStatus'>): string {
  const text = [`XDP ${xdpMode}`, driver, multiBuffer ? 'jumbo frames' : ''].filter((part) => part !== '');
  return `${name}: ${text.join(', ')}${reason === '' ? '' : ` (${reason})`}`;
}

function flowTableText({ capacity, used, open }: Answer<'FlowTableStatus'>): string {
  return `${count(used)} of ${counted(capacity, 'flow')} (${share(used, capacity)}), ${count(open)} open`;
}

/** The fullest map is what an operator may have to act on. */
function memoryText({ maps, mapBytes }: Status): string {
  const total = `${byteCount(mapBytes)} in ${counted(maps.length, 'map')}`;
  const [fullest] = maps
    .filter(({ capacity }) => capacity > 0)
    .toSorted((a, b) => b.used / b.capacity - a.used / a.capacity);
  return fullest === undefined
    ? total
    : `${total}, fullest ${fullest.name} (${share(fullest.used, fullest.capacity)})`;
}

function mapText({ name, bytes, capacity, used }: Answer<'MapStatus'>): string {
  const filled = capacity > 0 ? `, ${count(used)} of ${count(capacity)} (${share(used, capacity)})` : '';
  return `${name}: ${byteCount(bytes)}${filled}`;
}

const outcomes: readonly Fact[] = [
  ['forwarded', 'forwarded'],
  ['handed-up', 'handed up'],
  ['routed', 'routed'],
  ['dropped', 'dropped'],
];

/** Sums by outcome; those that happen besides are no packets of their own. */
function packetsText(reasons: readonly Answer<'PacketReason'>[]): string {
  return outcomes
    .map(([outcome, words]) => {
      const packets = reasons.filter((one) => one.outcome === outcome);
      return `${count(packets.reduce((sum, one) => sum + one.packets, 0))} ${words}`;
    })
    .join(', ');
}

function outcomeName(outcome: string): string {
  return outcomes.find(([name]) => name === outcome)?.[1] ?? outcome;
}

function reasonText({ reason, packets }: Answer<'PacketReason'>): string {
  return `${reason}: ${count(packets)}`;
}

/** `0.5 %`, and never 0 for a little or 100 for not quite all. */
function share(part: number, whole: number): string {
  if (whole === 0) return '-';
  const percent = (100 * part) / whole;
  const shown = Math.min(
    part < whole ? 99.9 : 100,
    Math.max(part > 0 ? 0.1 : 0, Math.round(percent * 10) / 10),
  );
  return `${shown} %`;
}
