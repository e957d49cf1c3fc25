// What can be seen of drivers and peers, where the kernel does not tell which interfaces take redirected frames.
import { driverOf, interfaceName, mergesReceived, xdpState } from '../kernel/interface.ts';
import { KernelError } from '../kernel/kernel-error.ts';
import { inOtherNetwork } from '../kernel/other-network.ts';
import type { Looks } from './deduce.ts';
import type { Link } from './model.ts';

/** In the network of the calling thread. Without `search` peers are looked for only where they were before. */
export function looksAt(search: boolean): Looks {
  return {
    driver: ({ name }) => driverOf(name),
    peerTakes({ peer }) {
      if (peer === undefined) return undefined;
      const { index, namespace } = peer;
      return namespace === undefined ? takes(index) : inOtherNetwork(namespace, search, () => takes(index));
    },
  };
}

/** As veth_xdp_xmit() asks for it: the other end polls, which it does for GRO or for a program of its own. */
function takes(index: Link['index']): boolean | undefined {
  const name = interfaceName(index);
  if (name === undefined) return undefined;
  try {
    return xdpState(index).native !== 0 || mergesReceived(name);
  } catch (error) {
    // Gone since.
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
