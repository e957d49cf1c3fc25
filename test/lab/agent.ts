// Starts the agent in the gateway's namespace as a service would run it, and ends it in both ways.
import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayClient } from '../../src/wire/client.ts';
import { CallFailed } from '../../src/wire/errors.ts';
import { slowness } from '../slowness.ts';
import { startDaemon } from './daemon.ts';
import { isRunning, killProcesses, type Process } from './processes.ts';
import { type LabRecord, runtimeDirectory } from './record.ts';
import { namespaceOf } from './topology.ts';

export const penstock = join(import.meta.dirname, '../../scripts/penstock');

export interface AgentOptions {
  /** In place of `penstock agent`; is given the same command line. */
  readonly program?: readonly string[];
  /** Added to the command line. */
  readonly arguments?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until it has to answer. Default 90,000. */
  readonly patience?: number;
}

/** Resolves when the agent answers on its socket; rejects with the end of its log when it does not. */
export async function launchAgent(
  lab: string,
  { dataplane, flowtable }: Pick<LabRecord, 'dataplane' | 'flowtable'>,
  options: AgentOptions,
): Promise<Process> {
  const directory = runtimeDirectory(lab);
  const socket = join(directory, 'penstock.sock');
  const program = options.program ?? [penstock, 'agent'];
  const command = [...program, '--state-directory', join(directory, 'state'), '--listen'];
  const plane = [
    ...(dataplane === 'nftables' ? [] : ['--dataplane', dataplane]),
    ...(flowtable === 'off' ? [] : ['--flowtable', flowtable]),
  ];
  const log = join(directory, 'agent.log');
  const agent = await startDaemon(
    namespaceOf(lab, 'gateway'),
    [...command, `unix:${socket}`, ...plane, ...(options.arguments ?? [])],
    log,
    options.env,
  );
  const deadline = Date.now() + (options.patience ?? 90_000 * slowness);
  while (agent !== undefined && (await isRunning(agent))) {
    if ((await connects(socket)) && (await answers(socket))) return agent;
    if (Date.now() > deadline) {
      await killProcesses([agent]);
      break;
    }
    await sleep(20);
  }
  const text = await readFile(log, 'utf8');
  throw new Error(`The agent does not start. The end of its log:\n${text.slice(-2_000)}`);
}

async function answers(socket: string): Promise<boolean> {
  const client = new GatewayClient(`unix:${socket}`);
  try {
    await client.getStatus();
    return true;
  } catch (error) {
    if (error instanceof CallFailed) return false;
    throw error;
  } finally {
    client.close();
  }
}

async function connects(socket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const connection = createConnection(socket);
  connection.on('connect', () => resolve(true));
  connection.on('error', () => resolve(false));
  const connected = await promise;
  connection.destroy();
  return connected;
}
