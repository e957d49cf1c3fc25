// The interfaces that the program belongs on, and whether it may be put there: found out before anything is changed.
import { DataPlaneUnavailable } from '../dataplane.ts';
import { mustBeAttachable } from './kernel/attach.ts';
import type { PinDirectory } from './kernel/pin-directory.ts';
import { type Choice, chooseInterfaces, InterfaceError } from './network/choose.ts';
import type { Network } from './network/model.ts';
import { openNetworkReader } from './network/read.ts';

/** As an operator names them, or `auto`: all that carry traffic to machines and clients. */
export type Wanted = readonly string[] | 'auto';

/** Throws `DataPlaneUnavailable` with all that an operator has to mend. In the network of the calling thread. */
export async function mayRun(directory: PinDirectory, wanted: Wanted): Promise<void> {
  const reader = await openNetworkReader();
  try {
    const { interfaces } = mustChoose(await reader.read(), wanted);
    const findings = interfaces.flatMap(({ ifindex }) => findingsAt(directory, ifindex));
    if (findings.length > 0) throw new DataPlaneUnavailable(findings);
  } finally {
    reader.close();
  }
}

/** Throws `DataPlaneUnavailable` (XDP_INTERFACE_MISSING) where a named one cannot be had. */
export function mustChoose(network: Network, wanted: Wanted): Choice {
  try {
    return chooseInterfaces(network, wanted);
  } catch (error) {
    if (!(error instanceof InterfaceError)) throw error;
    throw new DataPlaneUnavailable([
      {
        code: 'XDP_INTERFACE_MISSING',
        message: error.message,
        remedy:
          'name interfaces that exist with --interface, or none: all that carry traffic are chosen then',
      },
    ]);
  }
}

/** For an agent that runs already: a named interface that is gone may come back, and the others are served meanwhile. */
export function choosePresent(network: Network, wanted: Wanted): Choice {
  if (wanted === 'auto') return chooseInterfaces(network, wanted);
  const isPresent = (name: string): boolean => network.links.some((link) => link.name === name);
  const choice = mustChoose(network, wanted.filter(isPresent));
  const gone = wanted
    .filter((name) => !isPresent(name))
    .map((name) => ({ name, reason: 'there is no such interface any more' }));
  return { ...choice, passedOver: [...choice.passedOver, ...gone] };
}

function findingsAt(directory: PinDirectory, ifindex: number): DataPlaneUnavailable['findings'] {
  try {
    mustBeAttachable(directory, ifindex);
    return [];
  } catch (error) {
    if (error instanceof DataPlaneUnavailable) return error.findings;
    throw error;
  }
}
