// Frames and flows of the packets that programs are timed with.
import { backendPort } from '../declaration.ts';
import { encodeFlows, type Flow, type Frame } from './frame.ts';
import { shuffled } from './order.ts';
import { firstClient, type Stage } from './stage.ts';
import { balancedPort, mappingPlace } from './tables.ts';

/** Clients have so many addresses at most, and use several ports each. */
const clients = 4096;

/** Of packets to frontends, or from machines. */
export function frameFrom(
  { wan, lan, outsideMac }: Stage,
  way: 'in' | 'back',
  over: Partial<Frame> = {},
): Frame {
  const destinationMac = way === 'in' ? wan.address : lan.address;
  return { family: 4, protocol: 'tcp', destinationMac, sourceMac: outsideMac, ...over };
}

/** Flows of many clients, spread over mappings, in no order. */
export function flowsIn(flows: number, mapped: number): Uint8Array {
  return encodeFlows(
    Array.from(shuffled(flows), (number): Flow => {
      const { address, port } = mappingPlace(number % mapped);
      return { ...clientOf(number), destination: address, destinationPort: port };
    }),
  );
}

/** One flow each to `hot` mappings out of `mapped`. */
export function hotFlows(mapped: number, hot: number): Uint8Array {
  return encodeFlows(
    Array.from(shuffled(hot), (number): Flow => {
      const { address, port } = mappingPlace(Math.floor((number * mapped) / hot) % mapped);
      return { ...clientOf(number), destination: address, destinationPort: port };
    }),
  );
}

/** Answers to a flow through each of the first mappings. */
export function flowsBack(flows: number): Uint8Array {
  return encodeFlows(
    Array.from(shuffled(flows), (number): Flow => {
      const { source, sourcePort } = clientOf(number);
      const { machine } = mappingPlace(number);
      return { source: machine, sourcePort: backendPort, destination: source, destinationPort: sourcePort };
    }),
  );
}

/** To the balanced frontend, in no order. */
export function flowsToPool(flows: number): Uint8Array {
  const { address } = mappingPlace(0);
  return encodeFlows(
    Array.from(
      shuffled(flows),
      (number): Flow => ({
        ...clientOf(number),
        destination: address,
        destinationPort: balancedPort,
      }),
    ),
  );
}

/** From clients to somebody else. */
export function foreignFlows(flows: number): Uint8Array {
  return encodeFlows(
    Array.from(
      shuffled(flows),
      (number): Flow => ({
        ...clientOf(number),
        destination: 0x0808_0000 + number * 7,
        destinationPort: 53,
      }),
    ),
  );
}

function clientOf(flow: number): { readonly source: number; readonly sourcePort: number } {
  return { source: firstClient + (flow % clients), sourcePort: 1024 + (Math.floor(flow / clients) % 60_000) };
}
