// Drives sender.py in a namespace: prepares packets there, has them sent, and reads how long that took.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { enter } from '../../lab/namespaces.ts';
import { median } from '../figures.ts';

/** Packets in one system call, which is what is timed; as in sender.py. */
export const batch = 1000;

/** Of one UDP packet. */
export interface Headers {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

interface Report {
  readonly nanoseconds?: readonly number[];
  readonly packets: readonly number[];
}

export class Sender implements Disposable {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #waiting: PromiseWithResolvers<Report>[] = [];

  private constructor(child: ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
    if (child.stdout === null) throw new Error('The sender has no output.');
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#waiting.shift()?.resolve(JSON.parse(line) as Report);
    });
    child.on('exit', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('The sender has ended.'));
    });
  }

  /** `directory` is where plans of packets are handed over. */
  static start(namespace: string, directory: string): Sender {
    const [file, args] = enter(namespace, ['/usr/bin/python3', join(import.meta.dirname, 'sender.py')]);
    return new Sender(spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] }), directory);
  }

  async prepare(name: string, packets: readonly Headers[]): Promise<void> {
    const plan = Buffer.alloc(packets.length * 12);
    for (const [index, { source, sourcePort, destination, destinationPort }] of packets.entries()) {
      writeAddress(plan, index * 12, source);
      plan.writeUInt16BE(sourcePort, index * 12 + 4);
      writeAddress(plan, index * 12 + 6, destination);
      plan.writeUInt16BE(destinationPort, index * 12 + 10);
    }
    const file = join(this.#directory, `${this.#child.pid}-${name}`);
    await writeFile(file, plan);
    await this.#order({ prepare: name, file });
  }

  /** Nanoseconds per packet: the median of the batches, which a pause of the machine in between does not move. */
  async send(name: string, count: number, { repeat = 1 } = {}): Promise<number> {
    const { nanoseconds = [], packets } = await this.#order({ send: name, count, repeat });
    return median(nanoseconds.map((time, index) => time / (packets[index] ?? Number.NaN)));
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }

  #order(order: object): Promise<Report> {
    const answer = Promise.withResolvers<Report>();
    this.#waiting.push(answer);
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    return answer.promise;
  }
}

function writeAddress(plan: Buffer, offset: number, address: string): void {
  plan.set(address.split('.').map(Number), offset);
}
