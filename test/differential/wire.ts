// One end of a cable in a lab: frames go out and come in as they are, and no kernel answers them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { enter } from '../lab/namespaces.ts';

export class Wire {
  readonly #child: ChildProcess;
  readonly #wanted = new Map<string, () => void>();
  #heard: Uint8Array[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async open(namespace: string, device: string): Promise<Wire> {
    const program = join(import.meta.dirname, 'wire.py');
    const [file, args] = enter(namespace, ['/usr/bin/python3', program, device]);
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const wire = new Wire(child);
    const { promise, resolve } = Promise.withResolvers<void>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'ready') resolve();
      else wire.#hear(Buffer.from(line, 'hex'));
    });
    await promise;
    return wire;
  }

  send(frames: readonly Uint8Array[]): void {
    const text = frames.map((frame) => Buffer.from(frame).toString('hex')).join(' ');
    this.#child.stdin?.write(`${text}\n`);
  }

  /** Resolves when a frame comes in that holds this text; rejects after two seconds without. */
  async until(text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#wanted.set(text, resolve);
    const timer = setTimeout(() => reject(new Error(`"${text}" did not come through`)), 2_000);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#wanted.delete(text);
    }
  }

  /** All that came in since the last call. */
  take(): readonly Uint8Array[] {
    const heard = this.#heard;
    this.#heard = [];
    return heard;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
  }

  #hear(frame: Buffer): void {
    for (const [text, resolve] of this.#wanted) {
      if (!frame.includes(text)) continue;
      resolve();
      return;
    }
    this.#heard.push(frame);
  }
}
