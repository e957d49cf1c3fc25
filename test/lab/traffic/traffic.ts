// A test's hold on the long-running client: sends requests through the gateway and hears who answered each.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { FromClient, Outcome, Request, Stream, StreamOutcome, ToClient } from './message.ts';

/** What a steady load has brought so far. */
export interface Tally {
  readonly sent: number;
  readonly right: number;
  readonly wrong: number;
  readonly lost: number;
  /** Right answers by stream, then by machine. */
  readonly byStream: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** The first twenty that were not right. */
  readonly complaints: readonly string[];
}

/** The program of the client, for the Node of where it runs. */
export const client = join(import.meta.dirname, 'client.ts');

export class Traffic implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #waiting = new Map<number, PromiseWithResolvers<readonly Outcome[]>>();
  readonly #verdicts = { right: 0, wrong: 0, lost: 0 };
  readonly #byStream = new Map<string, Map<string, number>>();
  readonly #complaints: string[] = [];
  #lastId = 0;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    // Its end is heard of from its exit, and by then nobody listens.
    child.stdin.on('error', () => undefined);
    createInterface(child.stdout).on('line', (line) => this.#hear(JSON.parse(line) as FromClient));
    child.on('exit', () => {
      this.#ready.reject(new Error('The client has ended.'));
      for (const { reject } of this.#waiting.values()) reject(new Error('The client has ended.'));
    });
  }

  /** Starts a client by this command, which runs `client` with Node; it is spoken to in lines of JSON. */
  static async start([file = '', ...args]: readonly string[]): Promise<Traffic> {
    const traffic = new Traffic(spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
    await traffic.#ready.promise;
    return traffic;
  }

  /** Sends all requests, so many at a time, and returns their outcomes in the order of the requests. */
  async ask(requests: readonly Request[], concurrency = 16): Promise<readonly Outcome[]> {
    return await this.#call((id) => ({ kind: 'ask', id, requests, concurrency }));
  }

  /**
   * Replaces the steady load; an empty one stops it. Resolves when every request that was under way before has ended:
   * what only the former load has reached may then be taken away.
   */
  async load(streams: readonly Stream[]): Promise<void> {
    await this.#call((id) => ({ kind: 'load', id, streams }));
  }

  /** Of all requests of the steady load that have ended. */
  tally(): Tally {
    const { right, wrong, lost } = this.#verdicts;
    const byStream = new Map([...this.#byStream].map(([stream, counts]) => [stream, new Map(counts)]));
    return {
      sent: right + wrong + lost,
      right,
      wrong,
      lost,
      byStream,
      complaints: this.#complaints.slice(),
    };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #call(message: (id: number) => ToClient): Promise<readonly Outcome[]> {
    this.#lastId += 1;
    const answer = Promise.withResolvers<readonly Outcome[]>();
    this.#waiting.set(this.#lastId, answer);
    this.#child.stdin.write(`${JSON.stringify(message(this.#lastId))}\n`);
    return await answer.promise;
  }

  #hear(message: FromClient): void {
    switch (message.kind) {
      case 'ready':
        this.#ready.resolve();
        break;
      case 'answers':
      case 'settled':
        this.#waiting.get(message.id)?.resolve(message.kind === 'answers' ? message.outcomes : []);
        this.#waiting.delete(message.id);
        break;
      case 'outcomes':
        for (const outcome of message.outcomes) this.#count(outcome);
        break;
    }
  }

  #count({ stream, verdict, machine, reason }: StreamOutcome): void {
    this.#verdicts[verdict] += 1;
    if (verdict === 'right' && machine !== undefined) {
      const counts = this.#byStream.get(stream) ?? new Map<string, number>();
      this.#byStream.set(stream, counts.set(machine, (counts.get(machine) ?? 0) + 1));
    }
    if (verdict !== 'right' && this.#complaints.length < 20)
      this.#complaints.push(`${stream}: ${reason ?? verdict}`);
  }
}
