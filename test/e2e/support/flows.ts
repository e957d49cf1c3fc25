// A test's hold on flows that live long: what each of them sees while the gateway is changed.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../../lab/lab.ts';
import { enter } from '../../lab/namespaces.ts';
import type { Node } from '../../lab/topology.ts';
import { slowness } from '../../slowness.ts';
import type { FlowAnswer, FlowOrder } from './flow-process.ts';

export class Flows implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: FlowAnswer) => void>();
  #calls = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => {
      if (typeof message !== 'object' || message === null || !('call' in message)) return;
      const { call, answer } = message as { readonly call: number; readonly answer: FlowAnswer };
      this.#waiting.get(call)?.(answer);
      this.#waiting.delete(call);
    });
  }

  static async start(lab: Lab, node: Node = 'client'): Promise<Flows> {
    const program = join(import.meta.dirname, 'flow-process.ts');
    const [file, args] = enter(lab.namespace(node), [process.execPath, program]);
    const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const flows = new Flows(child);
    await once(child, 'message');
    return flows;
  }

  /** Opens a TCP connection; fails unless it is made. */
  async open(id: string, address: string, port: number): Promise<void> {
    const answer = await this.#call({ kind: 'open', id, address, port });
    if (!('text' in answer) || answer.text !== 'connected')
      throw new Error(`${id}: ${JSON.stringify(answer)}`);
  }

  /** The machine that answers one more request on a connection; `silence` or `closed` where none does. */
  async ask(id: string, patience = 3_000): Promise<string> {
    const answer = await this.#call({ kind: 'ask', id, patience: patience * slowness });
    return 'text' in answer ? answer.text : '';
  }

  /** What has become of a connection: `open`, `closed`, or `reset` by an RST. */
  async fate(id: string): Promise<string> {
    const answer = await this.#call({ kind: 'fate', id });
    return 'text' in answer ? answer.text : '';
  }

  /** Sends a datagram each few milliseconds from one port, until the end. */
  async send(id: string, address: string, port: number, interval = 5 * slowness): Promise<void> {
    await this.#call({ kind: 'send', id, address, port, interval });
  }

  /** The machines that answered the datagrams after the first `from`, in order; null for one without an answer. */
  async answers(id: string, from = 0): Promise<readonly (string | null)[]> {
    const answer = await this.#call({ kind: 'tally', id });
    return 'answers' in answer ? answer.answers.slice(from) : [];
  }

  /** The machine that answered a sender first; waits for it, at most five seconds. */
  async firstAnswer(id: string): Promise<string | undefined> {
    for (let waited = 0; waited < 5_000 * slowness; waited += 10) {
      const machine = (await this.answers(id)).find((answer) => answer !== null);
      if (machine !== undefined && machine !== null) return machine;
      await sleep(10);
    }
    return undefined;
  }

  /** How many datagrams were sent. */
  async sent(id: string): Promise<number> {
    return (await this.answers(id)).length;
  }

  /** Answers to at least twenty datagrams after the first `from`; null after a second without one. */
  async settled(id: string, from = 0): Promise<readonly (string | null)[]> {
    let count = await this.sent(id);
    while (count < from + 20) {
      await sleep(20);
      count = await this.sent(id);
    }
    for (let waited = 0; ; waited += 50) {
      const answers = (await this.answers(id)).slice(from, count);
      if (!answers.includes(null) || waited >= 1_000 * slowness) return answers;
      await sleep(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  async #call(order: FlowOrder): Promise<FlowAnswer> {
    this.#calls += 1;
    const call = this.#calls;
    const answer = new Promise<FlowAnswer>((resolve) => this.#waiting.set(call, resolve));
    this.#child.send({ call, order });
    return await answer;
  }
}

/** Opens connections and senders until there is one of each with every machine; the ids by machine. */
export async function reachAll(flows: Flows, address: string, wanted = 3) {
  const connections = new Map<string, string>();
  const senders = new Map<string, string>();
  for (let count = 0; count < 60 && (connections.size < wanted || senders.size < wanted); count += 1) {
    await flows.open(`tcp-${count}`, address, 80);
    connections.set(await flows.ask(`tcp-${count}`), `tcp-${count}`);
    await flows.send(`udp-${count}`, address, 53, 10 * slowness);
    senders.set((await flows.firstAnswer(`udp-${count}`)) ?? '', `udp-${count}`);
  }
  const idOf = (ids: ReadonlyMap<string, string>, machine: string): string => {
    const id = ids.get(machine);
    if (id === undefined) throw new Error(`no flow has reached ${machine}: ${[...ids.keys()]}`);
    return id;
  };
  return {
    connection: (machine: string) => idOf(connections, machine),
    sender: (machine: string) => idOf(senders, machine),
  };
}
