// The ruleset's part of a reset: whatever an end of an ending connection still sends is answered with an RST, which so has
// the very numbers that this end expects. It is a table of its own, which stands from the first reset on.
import type { Connection, End } from './connection.ts';

export const endingTableName = 'penstock_ending';

/** Seconds. An end that has not answered by then learns of the reset when it sends next, from the other end. */
const patience = 6;

/** Before connection tracking (-200), which would take what comes for a new flow, and before the raw table (-300). */
const priority = -310;

/** One line: a session reads lines. The table may stand already. */
export const endingTableText = [
  `add table inet ${endingTableName}`,
  ...([4, 6] as const).map((family) => {
    const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
    const type = `${address} . inet_service . ${address} . inet_service`;
    return `add set inet ${endingTableName} ends${family} { type ${type}; flags timeout; timeout ${patience}s; }`;
  }),
  ...['prerouting', 'output'].map(
    (hook) =>
      `add chain inet ${endingTableName} ${hook} ` +
      `{ type filter hook ${hook} priority ${priority}; policy accept; }; flush chain inet ${endingTableName} ${hook}`,
  ),
  ...([4, 6] as const).flatMap((family) => {
    const ip = family === 4 ? 'ip' : 'ip6';
    const theirs = `${ip} saddr . tcp sport . ${ip} daddr . tcp dport @ends${family}`;
    const ours = `${ip} daddr . tcp dport . ${ip} saddr . tcp sport @ends${family}`;
    return [
      // But not the first segment of the next connection between the same ports.
      `add rule inet ${endingTableName} prerouting tcp flags & (syn | ack) != syn ${theirs} reject with tcp reset`,
      // What we send in their names is no flow.
      `add rule inet ${endingTableName} output ${ours} notrack`,
    ];
  }),
].join('; ');

export const endingRemovalText = [
  `add table inet ${endingTableName}`,
  `delete table inet ${endingTableName}`,
].join('; ');

/** One line; connections of both families, at least one. */
export function expectingText(connections: readonly Connection[]): string {
  const keys: Record<4 | 6, string[]> = { 4: [], 6: [] };
  for (const { client, frontend, machine, peer } of connections) {
    const list = keys[client.address.length === 4 ? 4 : 6];
    list.push(keyOf(client, frontend), keyOf(machine, peer));
  }
  return ([4, 6] as const)
    .filter((family) => keys[family].length > 0)
    .map((family) => `add element inet ${endingTableName} ends${family} { ${keys[family].join(', ')} }`)
    .join('; ');
}

function keyOf(from: End, to: End): string {
  return `${textOf(from.address)} . ${from.port} . ${textOf(to.address)} . ${to.port}`;
}

function textOf(address: Buffer): string {
  if (address.length === 4) return [...address].join('.');
  return (address.toString('hex').match(/.{4}/g) ?? []).join(':');
}
