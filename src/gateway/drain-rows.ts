// Who drains, as rows of the store: a restart goes on counting from when it began.
import type { PoolDrains } from '../forwarding/draining.ts';
import type { RowChange } from '../store/store.ts';
import type { Drains } from './drains.ts';

/** The rows that differ, of the pools of one load balancer. */
export function* drainRows(before: Drains, after: Drains, loadBalancer: string): Generator<RowChange> {
  if (before === after) return;
  const prefix = `${loadBalancer}/`;
  const keys = new Set([...before.keys(), ...after.keys()].filter((key) => key.startsWith(prefix)));
  for (const key of keys)
    yield* poolRows([loadBalancer, key.slice(prefix.length)], before.get(key), after.get(key));
}

function* poolRows(
  pool: readonly string[],
  was: PoolDrains | undefined,
  is: PoolDrains | undefined,
): Generator<RowChange> {
  if (was === is) return;
  for (const member of new Set([...(was?.keys() ?? []), ...(is?.keys() ?? [])])) {
    const [earlier, now] = [was?.get(member), is?.get(member)];
    if (earlier === now) continue;
    yield {
      kind: 'drain',
      key: [...pool, member],
      before: earlier && JSON.stringify(earlier),
      after: now && JSON.stringify(now),
    };
  }
}
