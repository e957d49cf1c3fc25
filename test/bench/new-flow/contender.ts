// One way to forward, in a lab of its own: all stand side by side, so that rounds can alternate between them.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../../lab/lab.ts';
import { client } from '../../lab/topology.ts';
import type { BenchContext } from '../bench.ts';
import { batch, type Headers, Sender } from './sender.ts';

/** Where a client knocks, and where it comes out; the same for forwarding without translation. */
export interface Way {
  readonly address: string;
  readonly port: number;
  readonly machine: string;
  readonly machinePort: number;
}

/** Machines of the benches' declarations, all at b1, which drops what it gets. */
const machines = { network: '10.64.0.0/10', via: '10.0.0.4' } as const;

const firstSourcePort = 10_000;

export class Contender {
  readonly name: string;
  readonly lab: Lab;
  readonly #out: Sender;
  readonly #back: Sender;

  private constructor(name: string, lab: Lab, out: Sender, back: Sender) {
    this.name = name;
    this.lab = lab;
    this.#out = out;
    this.#back = back;
  }

  /** Takes over a lab with one machine whose gateway forwards `ways`; flows are spread over them by chance. */
  static async prepare(
    context: BenchContext,
    name: string,
    lab: Lab,
    ways: readonly Way[],
    flows: number,
  ): Promise<Contender> {
    await lab.exec('gateway', ['ip', 'route', 'add', machines.network, 'via', machines.via]);
    await lab.exec('gateway', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    await lab.exec('b1', ['nft', '-f', '-'], { input: sink(`ip daddr ${machines.network}`) });
    await lab.exec('client', ['nft', '-f', '-'], { input: sink(`ip saddr != ${lab.backends[0]?.address}`) });
    const directory = await context.directory();
    const contender = new Contender(
      name,
      lab,
      context.use(Sender.start(lab.namespace('client'), directory)),
      context.use(Sender.start(lab.namespace('b1'), directory)),
    );
    const packets = Array.from({ length: flows }, (_, flow): readonly [Headers, Headers] => {
      const way = ways[Math.floor(Math.random() * ways.length)];
      if (way === undefined) throw new Error('There is no way to send packets.');
      const near = { address: client.address, port: firstSourcePort + flow };
      return [
        headers(near, { address: way.address, port: way.port }),
        headers({ address: way.machine, port: way.machinePort }, near),
      ];
    });
    const out = packets.map(([each]) => each);
    await contender.#out.prepare('flows', out);
    // Of one flow, but as many in a batch.
    await contender.#out.prepare('one', Array.from({ length: batch }, () => out.slice(0, 1)).flat());
    await contender.#back.prepare(
      'flows',
      packets.map(([, back]) => back),
    );
    // Neighbours are asked for now; a packet to an unknown one waits.
    await contender.#out.send('flows', 2);
    await sleep(200);
    return contender;
  }

  /** Nanoseconds per new flow; throws when a packet did not arrive translated. */
  async newFlows(flows: number): Promise<number> {
    await this.#forget();
    return await this.#arriving('b1', flows, () => this.#out.send('flows', flows));
  }

  /** Nanoseconds per packet of one flow or a thousand, which the other side has answered. */
  async established(flows: 1 | 1000, packets: number): Promise<number> {
    await this.#forget();
    await this.#arriving('b1', flows, () => this.#out.send('flows', flows));
    await this.#arriving('client', flows, () => this.#back.send('flows', flows));
    const repeat = Math.ceil(packets / batch);
    const name = flows === 1 ? 'one' : 'flows';
    return await this.#arriving('b1', batch * repeat, () => this.#out.send(name, batch, { repeat }));
  }

  /** Flows of the round before would make the next one's established. */
  async #forget(): Promise<void> {
    await this.lab.exec('gateway', ['conntrack', '-F']);
  }

  async #arriving(node: 'b1' | 'client', packets: number, send: () => Promise<number>): Promise<number> {
    const before = await this.#arrived(node);
    const nanoseconds = await send();
    for (let waited = 0; (await this.#arrived(node)) - before < packets && waited < 1000; waited += 50) {
      await sleep(50);
    }
    const arrived = (await this.#arrived(node)) - before;
    if (arrived !== packets) {
      throw new Error(`${this.name}: ${arrived} of ${packets} packets arrived at ${node}.`);
    }
    return nanoseconds;
  }

  async #arrived(node: 'b1' | 'client'): Promise<number> {
    const { stdout } = await this.lab.exec(node, ['nft', 'list', 'counter', 'ip', 'bench', 'arrived']);
    return Number(/packets (\d+)/.exec(stdout)?.[1] ?? Number.NaN);
  }
}

/** Counts and drops before the stack sees anything, so that nothing is answered. */
function sink(match: string): string {
  return `table ip bench {
    counter arrived { }
    chain raw { type filter hook prerouting priority raw; meta l4proto udp ${match} counter name arrived drop; }
  }`;
}

interface End {
  readonly address: string;
  readonly port: number;
}

function headers(from: End, to: End): Headers {
  return {
    source: from.address,
    sourcePort: from.port,
    destination: to.address,
    destinationPort: to.port,
  };
}
