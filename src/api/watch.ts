// Watch: the mappings as they are, where that is asked for, and then every event.
import { setImmediate } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type { GatewayContract, GatewayEvent, Plan, Snapshot } from '../gateway/contract.ts';
import type { Mapping } from '../ports/mapping.ts';
import type { Answer } from '../wire/client.ts';
import { inChunks } from './chunk.ts';
import { mappingSize, toPlan } from './plan.ts';
import { CallRejected } from './refusals.ts';
import {
  type Sent,
  toMemberHealth,
  toOutboundPorts,
  toPortMapping,
  toTimestamp,
  toWarning,
} from './to-proto.ts';

/** Runs until the client is gone, or the server stops. */
export async function* watch(
  gateway: GatewayContract,
  { afterRevision, loadBalancer }: Answer<'WatchRequest'>,
  gone: AbortSignal,
  stopping: AbortSignal,
): AsyncGenerator<Sent<'Event'>, void, undefined> {
  const done = new AbortController();
  const over = AbortSignal.any([gone, stopping, done.signal]);
  const snapshot = afterRevision === 0 ? gateway.snapshot() : undefined;
  const events = gateway.watch(snapshot?.revision ?? afterRevision, over)[Symbol.asyncIterator]();
  try {
    // Asked for before the snapshot is sent, so that nothing that happens meanwhile is missed.
    let next = events.next();
    next.catch(() => {});
    if (snapshot !== undefined) yield* snapshotEvents(snapshot, loadBalancer);
    for (let result = await next; result.done !== true; result = await next) {
      yield* toEvents(result.value, loadBalancer);
      next = events.next();
    }
  } catch (error) {
    if (!stopping.aborted) throw error;
  } finally {
    done.abort();
    await events.return?.();
  }
  if (stopping.aborted) {
    const message = 'the agent is stopping; the kernel goes on forwarding';
    throw new CallRejected(status.UNAVAILABLE, 'STOPPING', message);
  }
}

/**
 * All mappings as assigned, in several events of one revision. `assigned_total` is the number in all of them, so that
 * the reader knows when it has them; at least one event, so that the revision is told even where there is nothing.
 */
async function* snapshotEvents(
  snapshot: Snapshot,
  loadBalancer: string,
): AsyncGenerator<Sent<'Event'>, void, undefined> {
  const filter = loadBalancer === '' ? {} : { loadBalancer };
  const total = await count(snapshot.mappings(filter));
  const time = toTimestamp(Date.now());
  const { revision } = snapshot;
  if (total === 0) yield { revision, time, applied: {} };
  for (const mappings of inChunks(snapshot.mappings(filter), sizeOf)) {
    const assigned = mappings.map((mapping) => toPortMapping(mapping));
    yield { revision, time, applied: { assigned, assignedTotal: total } };
  }
}

async function count(mappings: Iterable<unknown>): Promise<number> {
  let total = 0;
  for (const _ of mappings) {
    total += 1;
    if (total % 10_000 === 0) await setImmediate();
  }
  return total;
}

function sizeOf(mapping: Mapping): number {
  return mappingSize(toPortMapping(mapping));
}

/** None where it does not concern the load balancer asked for. */
function* toEvents(event: GatewayEvent, loadBalancer: string): Generator<Sent<'Event'>> {
  const head = { revision: event.revision, time: toTimestamp(event.time) };
  switch (event.kind) {
    case 'applied': {
      const plan = loadBalancer === '' ? event.plan : partOf(event.plan, loadBalancer);
      if (plan !== undefined) yield { ...head, applied: toPlan(plan) };
      return;
    }
    case 'warning':
      yield { ...head, warning: toWarning(event.warning) };
      return;
    case 'health':
      for (const member of event.members) {
        if (loadBalancer === '' || member.loadBalancer === loadBalancer) {
          yield { ...head, health: toMemberHealth(member) };
        }
      }
      return;
    case 'outbound':
      if (loadBalancer === '' || event.member.loadBalancer === loadBalancer) {
        yield { ...head, outboundPorts: toOutboundPorts(event.member) };
      }
  }
}

/**
 * The mappings of one load balancer. The plan of a change too large to be listed whole may concern any: it is passed
 * on with its totals, which tell the reader that the lists are not complete.
 */
function partOf(plan: Plan, loadBalancer: string): Plan | undefined {
  const assigned = plan.assigned.filter((mapping) => mapping.loadBalancer === loadBalancer);
  const released = plan.released.filter((mapping) => mapping.loadBalancer === loadBalancer);
  const remapped = plan.remapped.filter(({ after }) => after.loadBalancer === loadBalancer);
  const lists = { assigned, released, remapped };
  const complete =
    plan.assigned.length === plan.assignedTotal &&
    plan.released.length === plan.releasedTotal &&
    plan.remapped.length === plan.remappedTotal;
  if (!complete) return { ...plan, ...lists };
  // Ports of outbound rules are not listed, so that they may be of any.
  const outbound = plan.outboundAssigned + plan.outboundReleased + plan.outboundChanged;
  if (assigned.length + released.length + remapped.length + outbound === 0) return undefined;
  return {
    ...plan,
    ...lists,
    assignedTotal: assigned.length,
    releasedTotal: released.length,
    remappedTotal: remapped.length,
  };
}
