// Idle timeouts other than the kernel's: for each length of time in use a chain that gives it to a flow, made when the first
// rule asks for it. An endpoint leads to its chain by an element, like everything else.
import { type Idle, usualIdle } from '../../forwarding/idle.ts';
import type { Entry } from '../../forwarding/table.ts';
import { familyOf, type Transport } from '../../resources/address.ts';
import { limitedChain } from './limit-chains.ts';

/**
 * Seconds for which the kernel keeps a flow longer that shall be reset: meanwhile it is found. Without an agent it ends then,
 * in silence.
 */
export const resetGrace = 15;

/** Chains of this name, and what they name, come and go. */
const timeoutPrefix = 'idle_';

/**
 * The chain that new flows to an entry go through: for their idle timeout, their limits, or both, which is a chain such as
 * `idle_tcp_60_limited4`. Absent where nothing is asked for.
 */
export function beginningChain(entry: Entry): string | undefined {
  const { endpoint, target } = entry;
  if (target.kind === 'balanced' && target.floating) return undefined;
  const limited = target.limit === undefined ? undefined : limitedChain(familyOf(endpoint.address));
  // Up to Linux 6.12 a flow keeps the first timeout that it is given, later it has the last: so there is only one.
  const idle = target.idle ?? (target.kind === 'balanced' ? usualIdle(endpoint.transport) : undefined);
  if (idle === undefined) return limited;
  const chain = timeoutChain(endpoint.transport, idle);
  return limited === undefined ? chain : `${chain}_${limited}`;
}

/** The chain for flows over a transport, such as `idle_tcp_60`; it names a timeout of the same name. */
function timeoutChain(transport: Transport, { seconds, reset }: Idle): string {
  return `${timeoutPrefix}${transport}_${seconds + (reset ? resetGrace : 0)}`;
}

/** The chains that entries need for their timeouts. */
export function* timeoutChainsOf(entries: Iterable<Entry>): Generator<string> {
  for (const entry of entries) {
    const chain = beginningChain(entry);
    if (chain !== undefined && isTimeoutChain(chain)) yield chain;
  }
}

export function isTimeoutChain(chain: string): boolean {
  return chain.startsWith(timeoutPrefix);
}

export function timeoutAddition(table: string, chain: string): string {
  const [, transport, seconds, limited] = chain.split('_');
  return [
    `add ${timeoutText(transport === 'tcp' ? 'tcp' : 'udp', chain, Number(seconds), `inet ${table} `)}`,
    `add chain inet ${table} ${chain}`,
    `flush chain inet ${table} ${chain}`,
    ...(limited === undefined ? [] : [`add rule inet ${table} ${chain} jump ${limited}`]),
    `add rule inet ${table} ${chain} ct timeout set "${chain}"`,
  ].join('; ');
}

export function timeoutRemoval(table: string, chain: string): string {
  return [
    `flush chain inet ${table} ${chain}`,
    `delete chain inet ${table} ${chain}`,
    `delete ct timeout inet ${table} ${chain}`,
  ].join('; ');
}

/**
 * Of TCP only the established state: what is opening or closing is over sooner by itself. Of UDP both, or a flow that is
 * never answered would be over before.
 */
function timeoutText(transport: Transport, name: string, seconds: number, table = ''): string {
  const policy =
    transport === 'tcp' ? `established : ${seconds}` : `unreplied : ${seconds}, replied : ${seconds}`;
  return `ct timeout ${table}${name} { protocol ${transport}; policy = { ${policy} }; }`;
}
