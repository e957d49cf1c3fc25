// The table of the fast path: a flowtable, and the one rule that puts flows into it. It is a table of its own, so that it
// comes and goes whole, and the other one stays as it is.
import { flowClass } from './skeleton.ts';

export const fastTableName = 'penstock_fast';

/** How many rules the kernel lists while nobody has touched them. */
export const fastRuleCount = 1;

/**
 * Ours, of the flows that both sides have spoken in and that last: TCP once its handshake is over, UDP after two seconds.
 * A name asked for once is over before its flow would pay. Flows that a helper expects stay where the helper looks.
 */
const lasting =
  `ct mark & 0xf0000000 == 0x${(flowClass.nat >> 4).toString(16)}0000000 ` +
  'ct status & (dnat | expected | assured) == (dnat | assured) meta l4proto { tcp, udp }';

/** What takes the table away, whether it is there or not. One line, as for the others here: a session reads lines. */
export const removalText = [`add table inet ${fastTableName}`, `delete table inet ${fastTableName}`].join(
  '; ',
);

/** What puts the table there, in place of any other of its name. `devices` are names of interfaces, at least one. */
export function fastTableText(devices: readonly string[]): string {
  const quoted = devices.map((name) => `"${name}"`).join(', ');
  return [
    removalText,
    `add table inet ${fastTableName}`,
    // With its counter, conntrack counts the packets too, where the host lets it count at all (nf_conntrack_acct).
    `add flowtable inet ${fastTableName} fast { hook ingress priority 0; devices = { ${quoted} }; counter; }`,
    // After the filters of others: what they drop does not get past them by way of the flowtable.
    `add chain inet ${fastTableName} forward { type filter hook forward priority 300; policy accept; }`,
    `add rule inet ${fastTableName} forward ${lasting} flow add @fast`,
  ].join('; ');
}
