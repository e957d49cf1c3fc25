// Starts the API over a fake gateway on a unix socket of its own, for one test.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { GatewayClient } from '../../wire/client.ts';
import { type ApiOptions, ApiServer } from '../server.ts';
import { FakeGateway } from './fake-gateway.ts';

export interface Served extends AsyncDisposable {
  readonly gateway: FakeGateway;
  readonly api: ApiServer;
  readonly client: GatewayClient;
  /** Of the unix socket, as clients take it. */
  readonly address: string;
  readonly directory: string;
  /** The log, one object a line. */
  readonly log: readonly Record<string, unknown>[];
}

export async function serve(options: Partial<ApiOptions> = {}): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), 'penstock-api-'));
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => log.push(JSON.parse(line)) });
  const gateway = new FakeGateway();
  const address = `unix:${join(directory, 'run', 'penstock.sock')}`;
  const api = await ApiServer.start({
    listen: [{ kind: 'unix', path: join(directory, 'run', 'penstock.sock') }],
    gateway,
    logger,
    ...options,
  });
  const client = new GatewayClient(address);
  return {
    gateway,
    api,
    client,
    address,
    directory,
    log,
    async [Symbol.asyncDispose]() {
      client.close();
      await api.stop(1_000);
      await rm(directory, { recursive: true });
    },
  };
}

/** A load balancer with a pool rule, as a client sends it. */
export function sample(name: string, members: number, rangeEnd = 1_000 + 9_999) {
  return {
    name,
    frontends: [{ name: 'fe', address: '203.0.113.1' }],
    backendPools: [
      {
        name: 'vms',
        members: Array.from({ length: members }, (_, index) => ({
          id: `vm-${index}`,
          address: `10.0.${index >> 8}.${index & 255}`,
        })),
      },
    ],
    inboundNatRules: [
      {
        name: 'ssh',
        frontend: 'fe',
        protocol: 1,
        backendPort: 22,
        pool: { backendPool: 'vms', frontendPortRangeStart: 1_000, frontendPortRangeEnd: rangeEnd },
      },
    ],
  };
}
