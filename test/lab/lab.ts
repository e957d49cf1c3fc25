// A gateway with its client and its machines, all in network namespaces: what the tests, the benches and the demo run on.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa, type ResultPromise } from 'execa';
import { slowness } from '../slowness.ts';
import { type AgentOptions, launchAgent, penstock } from './agent.ts';
import {
  createBackend,
  createNetwork,
  deleteBackend,
  deleteNamespaces,
  enter,
  existingNamespaces,
} from './namespaces.ts';
import type { NicPair } from './nics.ts';
import { removePins } from './pins.ts';
import { endProcesses, findProcess, isRunning, killProcesses, processesIn } from './processes.ts';
import {
  claim,
  type DataPlane,
  erase,
  type LabRecord,
  read,
  runtimeDirectory,
  type Services,
  write,
} from './record.ts';
import { healthFile, startServerParent, startServers } from './servers/servers.ts';
import { type Backend, backend, maximumBackends, type Node, namespaceOf } from './topology.ts';
import { client, Traffic } from './traffic/traffic.ts';

export interface LabOptions {
  /** Labs with different names stand side by side. Small letters, digits and hyphens, at most 32. */
  readonly name: string;
  /** How many machines; they are b1, b2, ... Default 2, at most 1,000. */
  readonly backends?: number;
  readonly dataplane?: DataPlane;
  /** Whether established flows bypass the rules of nftables. Default `off`. */
  readonly flowtable?: 'auto' | 'off';
  /** Start the agent. Default false. */
  readonly agent?: boolean | AgentOptions;
  /** What every machine serves. Default HTTP on 80 and 8080, TLS on 443, UDP on 5300 and 5301. */
  readonly services?: Partial<Services>;
  /** Wired pairs of a virtual machine's network cards that take the place of veths: lan0, wan0, then the machines'. */
  readonly nics?: readonly NicPair[];
  /** Stay when this process ends, until `down`. Default false: a signal to this process takes the lab down. */
  readonly stay?: boolean;
}

export interface CommandOptions {
  /** For the command's standard input. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether a failure of the command rejects. Default true. */
  readonly reject?: boolean;
  /** Milliseconds; more on a slow machine. */
  readonly timeout?: number;
}

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Undefined when a signal ended the command. */
  readonly exitCode?: number | undefined;
}

const services: Services = { http: [80, 8080], https: [443], udp: [5300, 5301] };
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class Lab implements AsyncDisposable {
  #record: LabRecord;
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.#interrupted) return;
    this.#interrupted = true;
    // Once more, by then without a listener, so that this process ends as the sender meant it.
    void this.#building
      .catch(() => undefined)
      .then(() => this.down())
      .finally(() => {
        this.#ignoreSignals();
        process.kill(process.pid, signal);
      });
  };
  /** A terminal's user may be impatient: one signal is enough, and the others must not end the clearing up. */
  #interrupted = false;
  #ending: Promise<void> | undefined;
  /** The step of `up` that is under way: what is still being made cannot be taken down. */
  #building: Promise<unknown> = Promise.resolve();

  private constructor(record: LabRecord) {
    this.#record = record;
  }

  /**
   * Raises a lab; resolves when every machine serves and, with `agent`, the agent answers. Throws when a lab of that
   * name is up, unless the process it belonged to has ended: then the remains are cleared away first.
   */
  static async up(options: LabOptions): Promise<Lab> {
    const {
      name,
      backends = 2,
      dataplane = 'nftables',
      flowtable = 'off',
      agent = false,
      stay = false,
    } = options;
    if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(name)) throw new Error(`"${name}" cannot name a lab.`);
    if (!(backends >= 0 && backends <= maximumBackends)) {
      throw new Error(`A lab has 0 to ${maximumBackends} machines, not ${backends}.`);
    }
    if (process.getuid?.() !== 0)
      throw new Error('A lab makes network namespaces, which needs root: use sudo.');
    const lab = new Lab({
      name,
      dataplane,
      flowtable,
      backends: Array.from({ length: backends }, (_, index) => index + 1),
      services: { ...services, ...options.services },
      owner: (await findProcess(process.pid)) ?? null,
      agent: null,
    });
    await lab.#claim();
    for (const signal of signals) process.on(signal, lab.#onSignal);
    try {
      await lab.#build(() => mkdir(lab.stateDirectory));
      await lab.#build(() =>
        createNetwork(name, lab.backends, { xdp: dataplane === 'xdp', nics: options.nics ?? [] }),
      );
      await lab.#build(() => startServerParent(name));
      await lab.#build(() => startServers(name, lab.backends, lab.#record.services));
      if (agent !== false) await lab.startAgent(agent === true ? {} : agent);
      if (stay) await lab.stay();
      return lab;
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** A lab that another process has raised; undefined when there is none of that name. */
  static async attach(name: string): Promise<Lab | undefined> {
    const record = await read(name);
    return record === undefined ? undefined : new Lab(record);
  }

  /** Takes a lab down by its name alone, also one that was left half made. Returns whether there was anything. */
  static async remove(name: string): Promise<boolean> {
    const namespaces = await existingNamespaces(name);
    const record = await read(name);
    // A process may have been started since the last look: look until there is none.
    for (let left = await processesIn(namespaces); left.length > 0; left = await processesIn(namespaces)) {
      await endProcesses(left, 1_000);
    }
    await removePins(namespaces.filter((namespace) => namespace === namespaceOf(name, 'gateway')));
    await deleteNamespaces(namespaces);
    await erase(name);
    return namespaces.length > 0 || record !== undefined;
  }

  get name(): string {
    return this.#record.name;
  }

  get dataplane(): DataPlane {
    return this.#record.dataplane;
  }

  get backends(): readonly Backend[] {
    return this.#record.backends.map(backend);
  }

  /** Holds all that the lab keeps on disk; `down` removes it. */
  get directory(): string {
    return runtimeDirectory(this.name);
  }

  get stateDirectory(): string {
    return join(this.directory, 'state');
  }

  get socket(): string {
    return join(this.directory, 'penstock.sock');
  }

  /** For PENSTOCK_ADDRESS; reaches the agent from every node and from the host. */
  get address(): string {
    return `unix:${this.socket}`;
  }

  get agentLog(): string {
    return join(this.directory, 'agent.log');
  }

  namespace(node: Node): string {
    return namespaceOf(this.name, node);
  }

  /** Runs a command on a node to its end; rejects when it fails, unless `reject: false`. */
  async exec(node: Node, command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return await this.spawn(node, command, options);
  }

  /** Starts a command on a node; the caller ends it, at the latest `down` does. */
  spawn(node: Node, command: readonly string[], options: CommandOptions = {}): ResultPromise<CommandOptions> {
    const [file, args] = enter(this.namespace(node), command);
    const { timeout, env, ...rest } = options;
    return execa(file, args, {
      ...rest,
      ...(timeout === undefined ? {} : { timeout: timeout * slowness }),
      env: { PENSTOCK_ADDRESS: this.address, ...env },
    });
  }

  /** Runs Penstock's command line against the lab's agent. */
  async penstock(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return await this.exec('gateway', [penstock, ...args], options);
  }

  /** A long-running client for many requests; it says who answered each. */
  async traffic(node: Node = 'client'): Promise<Traffic> {
    const [file, args] = enter(this.namespace(node), [process.execPath, client]);
    return await Traffic.start([file, ...args]);
  }

  /** Adds a machine with its servers: the given one, or the first that is free. */
  async addBackend(number?: number): Promise<Backend> {
    const taken = new Set(this.#record.backends);
    let free = number ?? 1;
    while (number === undefined && taken.has(free)) free += 1;
    if (taken.has(free) || free < 1 || free > maximumBackends)
      throw new Error(`There is no room for machine ${free}.`);
    const added = backend(free);
    await this.#note({ backends: [...this.#record.backends, free].toSorted((a, b) => a - b) });
    await createBackend(this.name, added, this.dataplane === 'xdp');
    await startServers(this.name, [added], this.#record.services);
    return added;
  }

  /** Takes a machine away at once, as if it lost its power. */
  async removeBackend(node: Backend['node']): Promise<void> {
    const { number } = this.#find(node);
    await this.stopServers(node);
    await deleteBackend(this.name, node);
    await this.#note({ backends: this.#record.backends.filter((each) => each !== number) });
  }

  /** Ends all that runs on a machine; the machine stays and refuses connections. */
  async stopServers(node: Backend['node']): Promise<void> {
    await endProcesses(await processesIn([this.namespace(node)]), 1_000);
  }

  async startServers(node: Backend['node']): Promise<void> {
    await startServers(this.name, [this.#find(node)], this.#record.services);
  }

  /** What a machine answers to GET /health from now on. */
  async setHealth(node: Backend['node'], status: number): Promise<void> {
    await writeFile(healthFile(this.name, this.#find(node)), String(status));
  }

  /** Resolves when the agent answers. The state directory is the lab's: a later agent continues what an earlier left. */
  async startAgent(options: AgentOptions = {}): Promise<void> {
    const running = this.#record.agent;
    if (running !== null && (await isRunning(running))) throw new Error('The agent runs.');
    await this.#note({ agent: await launchAgent(this.name, this.#record, options) });
  }

  async agentRuns(): Promise<boolean> {
    return this.#record.agent !== null && (await isRunning(this.#record.agent));
  }

  /** By SIGTERM, as a service manager would. */
  async stopAgent(): Promise<void> {
    if (this.#record.agent !== null) await endProcesses([this.#record.agent], 10_000);
    await this.#note({ agent: null });
  }

  /** By SIGKILL. */
  async killAgent(): Promise<void> {
    if (this.#record.agent !== null) await killProcesses([this.#record.agent]);
    await this.#note({ agent: null });
  }

  /** From now on the lab outlives this process and its signals, until somebody takes it down. */
  async stay(): Promise<void> {
    await this.#note({ owner: null });
    this.#ignoreSignals();
  }

  /** Leaves nothing: no process, no namespace, no file. */
  async down(): Promise<void> {
    this.#ending ??= Lab.remove(this.name).then(() => this.#ignoreSignals());
    await this.#ending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  async #claim(): Promise<void> {
    if (await claim(this.#record)) return;
    const owner = (await read(this.name))?.owner;
    if (owner === undefined || owner === null || (await isRunning(owner))) {
      throw new Error(`Lab "${this.name}" is up already; scripts/lab down --name ${this.name} ends it.`);
    }
    await Lab.remove(this.name);
    if (!(await claim(this.#record)))
      throw new Error(`Lab "${this.name}" is being raised by another process.`);
  }

  async #build(step: () => Promise<unknown>): Promise<void> {
    if (this.#interrupted) throw new Error('Interrupted.');
    this.#building = step();
    await this.#building;
  }

  async #note(change: Partial<LabRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    await write(this.#record);
  }

  #find(node: string): Backend {
    const found = this.backends.find((each) => each.node === node);
    if (found === undefined) throw new Error(`The lab has no machine ${node}.`);
    return found;
  }

  #ignoreSignals(): void {
    for (const signal of signals) process.off(signal, this.#onSignal);
  }
}
