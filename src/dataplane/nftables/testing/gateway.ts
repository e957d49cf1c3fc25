// A lab with a data plane for one test file: opened before each test, flushed after it.
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { slowness } from '../../../../test/slowness.ts';
import type { Stamp } from '../../dataplane.ts';
import { NftablesDataPlane, type NftablesOptions } from '../plane.ts';
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
export function gatewayUnderTest(
  machineCount: number,
  options: Pick<NftablesOptions, 'flowtable'> = {},
): Gateway {
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
    plane = new NftablesDataPlane({ ...options, logger });
    await plane.open();
  });
  afterEach(async () => {
    await lab?.client.rest();
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

/** Waits until a sender of `host` has had so many more answers; gives how many came from whom. */
export async function answersTo(
  host: Host,
  key: string,
  count: number,
): Promise<Readonly<Record<string, number>>> {
  const found: Record<string, number> = {};
  const total = (): number => Object.values(found).reduce((sum, each) => sum + each, 0);
  for (let left = 500; left > 0 && total() < count; left -= 1) {
    await pause(10);
    for (const [name, more] of Object.entries((await host.heard(key)).answers)) {
      found[name] = (found[name] ?? 0) + more;
    }
  }
  return found;
}

/** Waits until `name` answers a sender of `host`, and forgets who answered before. */
export async function untilAnswered(host: Host, key: string, name: string): Promise<void> {
  for (let left = 500; left > 0; left -= 1) {
    if (name in (await host.heard(key)).answers) return;
    await pause(10);
  }
  throw new Error(`${name} does not answer ${key}`);
}

/** Longer on a slow machine. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds * slowness));
}
