// Flows that run on while something happens to the gateway, and that must not notice.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Lab } from '../../lab/lab.ts';
import { slowness } from '../../slowness.ts';
import { Flows } from './flows.ts';

/** Until a datagram's answer counts as lost, in milliseconds. */
const patience = 5_000;

export interface Way {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly transport: 'tcp' | 'udp';
}

export class SteadyFlows implements AsyncDisposable {
  readonly #flows: Flows;
  /** The machine that each flow has reached, by the flow's name. */
  readonly #machines = new Map<string, string>();
  readonly #ways: readonly Way[];

  private constructor(flows: Flows, ways: readonly Way[]) {
    this.#flows = flows;
    this.#ways = ways;
  }

  /** One flow for each way, each of them answered once. */
  static async start(lab: Lab, ways: readonly Way[]): Promise<SteadyFlows> {
    const steady = new SteadyFlows(await Flows.start(lab), ways);
    for (const way of ways) await steady.#begin(way);
    return steady;
  }

  /** The machine that a flow has reached. */
  machineOf(name: string): string {
    return this.#machines.get(name) ?? '';
  }

  /**
   * While `act` runs and until some datagrams later, no datagram remains without an answer, and every flow of these stays
   * with its machine.
   */
  async expectUntouched(act: () => Promise<unknown>, ways: readonly Way[] = this.#ways): Promise<void> {
    const senders = ways.filter(({ transport }) => transport === 'udp');
    const connections = ways.filter(({ transport }) => transport === 'tcp');
    const before = await Promise.all(senders.map(({ name }) => this.#flows.sent(name)));
    await act();
    const wrong: string[] = [];
    for (const { name } of connections) {
      const machine = await this.#flows.ask(name, patience);
      if (machine !== this.machineOf(name)) wrong.push(`${name}: ${machine}, not ${this.machineOf(name)}`);
    }
    for (const [index, { name }] of senders.entries()) {
      const from = before[index] ?? 0;
      const answers = await this.#answersSince(name, from);
      const others = answers.filter((answer) => answer !== this.machineOf(name));
      if (others.length > 0) {
        const at = answers.findIndex((answer) => answer !== this.machineOf(name));
        wrong.push(
          `${name}: ${others.length} of ${answers.length} datagrams, from number ${at}: ${others[0]}`,
        );
      }
    }
    expect(wrong).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flows[Symbol.asyncDispose]();
  }

  async #begin({ name, address, port, transport }: Way): Promise<void> {
    if (transport === 'tcp') await this.#flows.open(name, address, port);
    else await this.#flows.send(name, address, port);
    const machine = transport === 'tcp' ? await this.#flows.ask(name) : await this.#flows.firstAnswer(name);
    if (machine === undefined || !/^b\d+$/.test(machine)) throw new Error(`${name}: ${machine} answers`);
    this.#machines.set(name, machine);
  }

  /** To at least twenty datagrams; those that were sent last are waited for. */
  async #answersSince(name: string, from: number): Promise<readonly (string | null)[]> {
    let count = await this.#flows.sent(name);
    for (; count < from + 20; count = await this.#flows.sent(name)) await sleep(20);
    for (let waited = 0; ; waited += 50) {
      const answers = (await this.#flows.answers(name)).slice(from, count);
      if (waited >= patience * slowness || !answers.includes(null)) return answers;
      await sleep(50);
    }
  }
}
