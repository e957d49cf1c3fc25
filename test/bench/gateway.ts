// A lab with the real agent, whose state lies on a disk, and a client that speaks to it as a control plane would.
import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, GatewayClient } from '../../src/wire/client.ts';
import type { Lab, LabOptions } from '../lab/lab.ts';
import { read } from '../lab/record.ts';
import type { BenchContext } from './bench.ts';

export interface AgentRun {
  readonly env?: Readonly<Record<string, string>>;
}

export class BenchGateway {
  readonly lab: Lab;
  readonly client: GatewayClient;
  readonly stateDirectory: string;

  private constructor(lab: Lab, client: GatewayClient, stateDirectory: string) {
    this.lab = lab;
    this.client = client;
    this.stateDirectory = stateDirectory;
  }

  /** Resolves when the agent answers. */
  static async up(
    context: BenchContext,
    name: string,
    options: Omit<LabOptions, 'name' | 'agent'> = {},
    run: AgentRun = {},
  ): Promise<BenchGateway> {
    const lab = await context.lab(name, { backends: 0, ...options });
    const client = context.use(new GatewayClient(lab.address));
    const gateway = new BenchGateway(lab, client, await context.directory());
    await gateway.startAgent(run);
    return gateway;
  }

  async startAgent({ env = {} }: AgentRun = {}): Promise<void> {
    await this.lab.startAgent({
      arguments: ['--state-directory', this.stateDirectory],
      env,
      patience: 60_000,
    });
  }

  /** Starts the agent; milliseconds until it answered the first GetStatus. */
  async timeStart(): Promise<{
    readonly milliseconds: number;
    readonly status: Answer<'GetStatusResponse'>;
  }> {
    const begin = performance.now();
    const started = this.startAgent();
    // Handled below; until then a failure is nobody's.
    started.catch(() => {});
    const status = await firstStatus(this.lab.socket, this.lab.address);
    const milliseconds = performance.now() - begin;
    await started;
    return { milliseconds, status };
  }

  async pid(): Promise<number> {
    const agent = (await read(this.lab.name))?.agent;
    if (agent === undefined || agent === null) throw new Error('The agent does not run.');
    return agent.pid;
  }

  /** What the agent has logged so far, all starts together. */
  async log(): Promise<string> {
    return await readFile(this.lab.agentLog, 'utf8');
  }
}

const patience = 60_000;

async function firstStatus(socket: string, address: string): Promise<Answer<'GetStatusResponse'>> {
  const deadline = Date.now() + patience;
  while (Date.now() < deadline) {
    if (await accepts(socket)) {
      // A fresh client each time: one that was refused waits a second before it tries again.
      using client = new GatewayClient(address);
      const status = await client.getStatus({ timeout: 10_000 }).catch(() => undefined);
      if (status !== undefined) return status;
    }
    await sleep(5);
  }
  throw new Error('The agent did not answer in time.');
}

function accepts(socket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const connection = createConnection(socket);
  connection.on('connect', () => resolve(true));
  connection.on('error', () => resolve(false));
  return promise.finally(() => connection.destroy());
}
