// A lab with a data plane for one test file: opened before each test, flushed after it.
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { Stamp } from '../../dataplane.ts';
import { NftablesDataPlane } from '../plane.ts';
import { buildLab, type Host, type Lab, ownNetwork } from './lab.ts';

export interface Gateway {
  readonly lab: Lab;
  readonly plane: NftablesDataPlane;
  /** The next revision. */
  stamp(): Stamp;
  /** Opens one flow, asks once and closes; gives the machine that answered. */
  knock(transport: 'tcp' | 'udp', to: string, port: number, host?: Host): Promise<string>;
}

export const logger = pino({ level: 'silent' });

/** Call it at the top of a test file. */
export function gatewayUnderTest(machineCount: number): Gateway {
  let lab: Lab | undefined;
  let plane: NftablesDataPlane | undefined;
  let revision = 0;
  const built = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error('only within tests');
    return part;
  };
  beforeAll(async () => {
    ownNetwork();
    lab = await buildLab(machineCount);
  });
  afterAll(async () => {
    await lab?.close();
  });
  beforeEach(async () => {
    plane = new NftablesDataPlane({ logger });
    await plane.open();
  });
  afterEach(async () => {
    await plane?.flush();
    await plane?.close();
  });
  return {
    get lab() {
      return built(lab);
    },
    get plane() {
      return built(plane);
    },
    stamp() {
      revision += 1;
      return { instance: '00000000000000a1', revision };
    },
    async knock(transport, to, port, host = built(lab).client) {
      await host.connect('knock', transport, to, port);
      try {
        return (await host.ask('knock')).name;
      } finally {
        await host.close('knock');
      }
    },
  };
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
