// How connections end, as the kernels of their machines saw it, and how often flows began.
import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayClient } from '../../../src/wire/client.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Node } from '../../lab/topology.ts';
import { slowness } from '../../slowness.ts';

/** Established connections that an RST has ended at a node, since it is up (RFC 4022: tcpEstabResets). */
export async function resetsAt(lab: Lab, node: Node): Promise<number> {
  const { stdout } = await lab.exec(node, ['cat', '/proc/net/snmp']);
  const [names = '', values = ''] = stdout.split('\n').filter((line) => line.startsWith('Tcp:'));
  return Number(values.split(' ')[names.split(' ').indexOf('EstabResets')]);
}

/** New flows of a load-balancing rule so far. */
export async function flowsOf(client: GatewayClient, rule: string): Promise<number> {
  let flows = 0;
  for await (const { ruleCounters } of client.listLoadBalancers({ withCounters: true })) {
    for (const each of ruleCounters) if (each.rule === rule) flows += each.counters?.flows ?? 0;
  }
  return flows;
}

/** Waits until it is so; throws after so many seconds. */
export async function until(seconds: number, isSo: () => Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await isSo()); waited += 100) {
    if (waited > seconds * 1_000 * slowness) throw new Error(`not within ${seconds} s`);
    await sleep(100);
  }
}
