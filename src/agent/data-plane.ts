// Which data plane an agent runs on; only the chosen one is loaded, for the other's libraries may be missing.
import type { DataPlane } from '../dataplane/dataplane.ts';
import type { ProgramObject } from '../dataplane/xdp/object.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface DataPlaneOptions {
  readonly dataplane: DataPlaneName;
  /** For nftables: whether established flows take a flowtable, where the kernel has one. */
  readonly flowtable: 'auto' | 'off';
  /** For XDP: where packets are taken from. `auto`: all interfaces that routes to clients and machines lead over. */
  readonly interfaces: readonly string[] | 'auto';
  /** For XDP: how many flows of balanced and other tracked rules can be kept, at least 1. */
  readonly flowTableSize: number;
  /** For XDP: another program than the one of this package. */
  readonly object?: ProgramObject;
  /** Private to this agent. */
  readonly scratchDirectory: string;
  /** Lets exactly these interfaces take packets with a source address of this host. */
  readonly acceptLocalSources: (interfaces: readonly string[]) => Promise<void>;
  readonly logger: Logger;
}

export type DataPlaneName = 'nftables' | 'xdp';

export async function createDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { dataplane, flowtable, scratchDirectory, logger } = options;
  switch (dataplane) {
    case 'nftables': {
      const { NftablesDataPlane } = await import('../dataplane/nftables/plane.ts');
      return new NftablesDataPlane({ logger, scratchDirectory, flowtable });
    }
    case 'xdp': {
      const { XdpDataPlane } = await import('../dataplane/xdp/plane.ts');
      const { dataplane: _, flowtable: __, ...rest } = options;
      return new XdpDataPlane(rest);
    }
  }
}

/**
 * Takes away what an agent on XDP left behind: for one on nftables, whose table by now does all of the work, and for
 * `flush`. Says in words what was removed.
 */
export async function removeOtherDataPlanes(): Promise<readonly string[]> {
  const { removeXdp } = await import('../dataplane/xdp/flush.ts');
  return await removeXdp();
}
