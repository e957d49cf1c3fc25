// What a change does, for people: each port that is assigned, released or moved, then the figures.
import type { Answer } from '../../wire/client.ts';
import { durationMilliseconds } from '../file/duration.ts';
import type { Channel } from '../terminal.ts';
import { paint } from './colour.ts';
import { backendEndpoint, count, counted, endpoint, mappingText, plainText } from './format.ts';

type Plan = Answer<'Plan'>;
type PortMapping = Answer<'PortMapping'>;

/** How many ports a table names; `wide` names all that the agent sent. */
const linesInTable = 40;

/** Writes the ports of a plan, one a line, by load balancer and rule. */
export function writePorts(channel: Channel, plan: Plan, format: 'table' | 'wide'): void {
  const lines = [
    ...plan.remapped.map(({ before, after }) =>
      paint(channel, 'yellow', `~ ${place(before)}${mappingText(before)}, now ${movedTo(before, after)}`),
    ),
    ...plan.released.map((mapping) => paint(channel, 'red', `- ${place(mapping)}${mappingText(mapping)}`)),
    ...plan.assigned.map((mapping) => paint(channel, 'green', `+ ${place(mapping)}${mappingText(mapping)}`)),
  ];
  const total = plan.remappedTotal + plan.releasedTotal + plan.assignedTotal;
  const shown = format === 'wide' ? lines : lines.slice(0, linesInTable);
  for (const line of shown) channel.write(`${line}\n`);
  const hidden = Math.max(total, lines.length) - shown.length;
  if (hidden > 0) {
    const how = lines.length > shown.length ? ' (-o wide shows more)' : ' (penstock get mappings shows them)';
    channel.write(`... and ${count(hidden)} more${how}\n`);
  }
}

/** The frontend's port; or the machine, where the port is as before and the machine has another address. */
function movedTo(before: PortMapping, after: PortMapping): string {
  const had = endpoint(before.frontendAddress, before.frontendPort);
  const has = endpoint(after.frontendAddress, after.frontendPort);
  return has === had ? backendEndpoint(after) : has;
}

function place(mapping: PortMapping): string {
  return `${plainText(mapping.loadBalancer)}/${plainText(mapping.rule)}: `;
}

/** Whether the plan does anything at all. */
export function changesNothing(plan: Plan): boolean {
  return (
    plan.entriesAdded + plan.entriesReplaced + plan.entriesDeleted === 0 &&
    plan.assignedTotal + plan.releasedTotal + plan.remappedTotal === 0 &&
    plan.outboundAssigned + plan.outboundReleased + plan.outboundChanged === 0 &&
    plan.poolsRebalanced === 0
  );
}

/** One line: ports new, released and remapped; entries; pools rebalanced. */
export function planSummary(plan: Plan): string {
  const ports = `${counted(plan.assignedTotal, 'port')} new, ${count(plan.releasedTotal)} released, ${count(plan.remappedTotal)} remapped`;
  const entries = `${counted(plan.entriesAdded, 'entry').replace('entrys', 'entries')} added, ${count(plan.entriesReplaced)} replaced, ${count(plan.entriesDeleted)} deleted`;
  const pools = plan.poolsRebalanced === 0 ? '' : `; ${counted(plan.poolsRebalanced, 'pool')} rebalanced`;
  return `${ports}; ${entries}${pools}${outboundSummary(plan)}`;
}

/** Empty where outbound rules have nothing to do with it. */
function outboundSummary({ outboundAssigned, outboundReleased, outboundChanged }: Plan): string {
  if (outboundAssigned + outboundReleased + outboundChanged === 0) return '';
  const members = `${counted(outboundAssigned, 'member')} new`;
  return `; outbound ports of ${members}, ${count(outboundReleased)} released, ${count(outboundChanged)} changed`;
}

/** `, committed in 3.2 ms`; empty where nothing was committed. */
export function commitTime(plan: Plan): string {
  const time = plan.commitTime;
  if (time === null || time === undefined) return '';
  const milliseconds = durationMilliseconds({ seconds: time.seconds, nanos: time.nanos });
  return milliseconds === 0 ? '' : `; committed in ${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

/** Writes a whole answer to a change. */
export function writeApplied(
  channel: Channel,
  answer: Answer<'ApplyResponse'>,
  options: { readonly dryRun: boolean; readonly format: 'table' | 'wide' },
): void {
  const plan = answer.plan;
  if (plan === null || plan === undefined) {
    channel.write(`revision ${answer.revision}\n`);
    return;
  }
  writePorts(channel, plan, options.format);
  const verdict = changesNothing(plan) ? 'the forwarding stays as it is' : planSummary(plan);
  channel.write(
    options.dryRun
      ? `dry run at revision ${answer.revision}, nothing was changed: ${verdict}\n`
      : `revision ${answer.revision}: ${verdict}${commitTime(plan)}\n`,
  );
}
