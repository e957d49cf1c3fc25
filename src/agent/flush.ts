// Takes everything that an agent put into the kernel and onto the host off again. What is declared stays in the state
// file: an agent that starts later brings it back.
import { NftablesDataPlane } from '../dataplane/nftables/plane.ts';
import { LinuxHost } from '../host/host.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import { createLogger } from '../telemetry/logger.ts';
import { removeOtherDataPlanes } from './data-plane.ts';

export interface FlushOptions {
  readonly stateDirectory: string;
}

/**
 * Says in words what was undone. Throws `StoreFailed` while an agent runs on the state directory, or where there is none;
 * `DataPlaneUnavailable` where the kernel cannot be told: nothing has been undone then.
 */
export async function flushHost(options: FlushOptions): Promise<{ readonly lines: readonly string[] }> {
  const store = new SqliteStore(options.stateDirectory, { mustExist: true });
  try {
    const { hostChanges } = await store.load();
    let removed: readonly string[];
    const dataPlane = new NftablesDataPlane({ logger: createLogger({ level: 'warn', format: 'json' }) });
    try {
      await dataPlane.open();
      // Before the table, which ends the flows: what XDP no longer takes would begin new ones.
      removed = await removeOtherDataPlanes();
      await dataPlane.flush();
    } finally {
      await dataPlane.close();
    }
    const host = new LinuxHost(store);
    host.adopt(hostChanges);
    await host.restore();
    return {
      lines: [
        ...removed,
        'nftables: table inet penstock removed, its flows ended',
        ...hostChanges.map((change) =>
          change.kind === 'sysctl'
            ? `${change.name}: back to ${change.detail}`
            : `${change.name}: removed from ${change.detail}`,
        ),
      ],
    };
  } finally {
    await store.close();
  }
}
