// Ends TCP connections so that both ends hear of it. Nobody here knows the sequence numbers; the ends do: each is sent a
// segment that begins a connection, which it answers with what it expects next (RFC 9293, 3.10.7.4; RFC 5961, 4), and the
// ruleset answers that with an RST (see ending-table.ts). The machine gets a SYN and the client a SYN and ACK, as if the other
// had lost its memory: firewalls that follow the connection let these pass.
import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { CommitFailed } from '../dataplane.ts';
import type { Outcome } from '../nftables/session.ts';
import type { Connection } from './connection.ts';
import { endingTableText, expectingText } from './ending-table.ts';
import { openRawSocket, type RawSocket } from './raw-socket.ts';
import { packetOf, tcpFlag } from './segment.ts';

/** Sent again after so many milliseconds, for what was lost, and for ends that answer so many in a second only. */
const secondRound = 1_000;
const connectionsPerTransaction = 2_000;
const packetsPerTurn = 200;

export interface ResetsOptions {
  /** Runs one line of commands in text as one transaction. */
  run(line: string): Promise<Outcome>;
}

export class Resets {
  readonly #options: ResetsOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  #sockets: Readonly<Record<4 | 6, RawSocket>> | undefined;

  constructor(options: ResetsOptions) {
    this.#options = options;
  }

  /**
   * `forget` takes the flows out of where they are kept; it is called when the ruleset knows of the connections, for what is
   * not ours any more must not be taken for new. Throws where the kernel refuses; the flows are forgotten nevertheless.
   */
  async end(connections: readonly Connection[], forget: () => Promise<void> | void): Promise<void> {
    let failure: unknown;
    try {
      if (connections.length > 0) await this.#expect(connections);
    } catch (error) {
      failure = error;
    }
    await forget();
    if (failure !== undefined) throw failure;
    await this.#send(connections);
    if (connections.length === 0) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#send(connections);
    }, secondRound);
    timer.unref();
    this.#timers.add(timer);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#sockets?.[4].close();
    this.#sockets?.[6].close();
    this.#sockets = undefined;
  }

  async #expect(connections: readonly Connection[]): Promise<void> {
    this.#sockets ??= { 4: await openRawSocket(4), 6: await openRawSocket(6) };
    await this.#run(endingTableText);
    for (let at = 0; at < connections.length; at += connectionsPerTransaction) {
      await this.#run(expectingText(connections.slice(at, at + connectionsPerTransaction)));
    }
  }

  async #send(connections: readonly Connection[]): Promise<void> {
    for (const [at, { client, frontend, machine, peer }] of connections.entries()) {
      if (at % packetsPerTurn === packetsPerTurn - 1) await setImmediate();
      const socket = this.#sockets?.[client.address.length === 4 ? 4 : 6];
      if (socket === undefined) return;
      const random = randomBytes(12);
      const numbers = { sequence: random.readUInt32BE(0), acknowledgement: random.readUInt32BE(4) };
      socket.send(
        packetOf({ from: frontend, to: client, flags: tcpFlag.syn | tcpFlag.ack, ...numbers }),
        client.address,
      );
      socket.send(
        packetOf({
          from: peer,
          to: machine,
          flags: tcpFlag.syn,
          sequence: random.readUInt32BE(8),
          acknowledgement: 0,
        }),
        machine.address,
      );
    }
  }

  async #run(line: string): Promise<void> {
    const outcome = await this.#options.run(line);
    if (outcome.kind !== 'done') throw new CommitFailed('connections cannot be reset', outcome.log);
  }
}
