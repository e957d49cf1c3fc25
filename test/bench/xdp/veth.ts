// One data plane in a lab of its own, with a generator at the client's end of its wire and a sink at the machines'.
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { libbpf } from '../../../src/dataplane/xdp/kernel/library.ts';
import type { Lab } from '../../lab/lab.ts';
import { enter } from '../../lab/namespaces.ts';
import { client, type Node, namespacePath } from '../../lab/topology.ts';
import type { BenchContext } from '../bench.ts';
import { chunksOf, firstPort, frontendAddress, loadBalancer } from '../declaration.ts';
import { BenchGateway } from '../gateway.ts';
import { addressNumber, encodeFlows, type Frame } from './frame.ts';
import { linkOf } from './stage.ts';
import { machines } from './tables.ts';
import { inside } from './thread.ts';
import { Wrapper } from './wrapper.ts';

/** Where packets end: at the wire's end as frames, or one step later, when the kernel has made packets of its own of them. */
export type Sink = 'frame' | 'packet';

export type Plane = 'nftables' | 'xdp';

const pool = 0;
const sinkInterface = 'gateway';

export class VethPlane {
  readonly plane: Plane;
  readonly lab: Lab;
  readonly #generator: Wrapper;
  readonly #sinkIndex: number;

  private constructor(plane: Plane, lab: Lab, generator: Wrapper, sinkIndex: number) {
    this.plane = plane;
    this.lab = lab;
    this.#generator = generator;
    this.#sinkIndex = sinkIndex;
  }

  /** A gateway with so many mappings, one for each machine; `flows` of them are sent to. `wrapper` is the compiled program. */
  static async raise(
    context: BenchContext,
    plane: Plane,
    wrapper: string,
    mappings: number,
    flows: number,
  ): Promise<VethPlane> {
    context.note(`raising: ${plane}`);
    const { lab, client: api } = await BenchGateway.up(context, `veth-${plane}`, {
      backends: 1,
      dataplane: plane,
    });
    await prepareWires(lab);
    await api.replaceAll(chunksOf([loadBalancer('tenant', [{ number: pool, members: mappings }])]));
    const outside = await linkOf(lab, 'client', 'eth0');
    const wan = await linkOf(lab, 'gateway', 'wan0');
    const { ifindex } = await linkOf(lab, 'switch', sinkInterface);
    const generator = context.use(
      await Wrapper.load(wrapper, namespacePath(lab.namespace('client')), outside.ifindex),
    );
    // A checksum of 0 means none: a network card would have checked it, while nftables here would have to.
    const frame: Frame = {
      family: 4,
      protocol: 'udp',
      destinationMac: wan.address,
      sourceMac: outside.address,
      checksum: false,
    };
    generator.list(frame, flowsTo(mappings, flows));
    return new VethPlane(plane, lab, generator, ifindex);
  }

  /** Nanoseconds per packet, on one core: from the generator to the sink. Throws when a packet is lost. */
  async send(packets: number, sink: Sink): Promise<number> {
    await using _ = sink === 'frame' ? await this.#sinkOfFrames() : await this.#sinkOfPackets();
    // Neighbours, flows and next hops are known afterwards.
    this.#generator.transmit(Math.ceil(packets / 10));
    await sleep(50);
    const before = await this.#arrived(sink);
    const begin = performance.now();
    this.#generator.transmit(packets);
    const milliseconds = performance.now() - begin;
    for (let waited = 0; (await this.#arrived(sink)) - before < packets && waited < 1000; waited += 50) {
      await sleep(50);
    }
    const arrived = (await this.#arrived(sink)) - before;
    if (arrived < packets * 0.999) {
      throw new Error(`${this.plane}: ${arrived} of ${packets} packets have arrived.`);
    }
    return (milliseconds * 1e6) / arrived;
  }

  /** Sends for so long without counting, in slices between which others may have a turn. */
  async busy(milliseconds: number): Promise<void> {
    await using _ = await this.#sinkOfFrames();
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
      this.#generator.transmit(20_000);
      await sleep(0);
    }
  }

  async #sinkOfFrames(): Promise<AsyncDisposable> {
    this.#attach(this.#generator.sink);
    return { [Symbol.asyncDispose]: async () => this.#attach(-1) };
  }

  async #sinkOfPackets(): Promise<AsyncDisposable> {
    const input = `table netdev bench {
      counter arrived { }
      chain ingress {
        type filter hook ingress device "${sinkInterface}" priority 0
        ip daddr ${machines} counter name arrived drop
      }
    }`;
    await this.lab.exec('switch', ['nft', '-f', '-'], { input });
    return {
      [Symbol.asyncDispose]: async () => {
        await this.lab.exec('switch', ['nft', 'delete', 'table', 'netdev', 'bench']);
      },
    };
  }

  async #arrived(sink: Sink): Promise<number> {
    if (sink === 'frame') return this.#generator.arrived;
    const { stdout } = await this.lab.exec('switch', [
      'nft',
      'list',
      'counter',
      'netdev',
      'bench',
      'arrived',
    ]);
    return Number(/packets (\d+)/.exec(stdout)?.[1] ?? Number.NaN);
  }

  /** In native mode; -1 takes it off. */
  #attach(program: number): void {
    const native = 4;
    const namespace = namespacePath(this.lab.namespace('switch'));
    const result = inside(namespace, () => libbpf().xdpAttach(this.#sinkIndex, program, native, null));
    if (result < 0) throw new Error(`the sink cannot be attached: errno ${-result}`);
  }
}

/** As a network card's driver: it polls, hands over frames, and merges them where it can. The same for both planes. */
async function prepareWires(lab: Lab): Promise<void> {
  const ends: readonly (readonly [Node, string])[] = [
    ['client', 'eth0'],
    ['gateway', 'wan0'],
    ['gateway', 'lan0'],
    ['switch', sinkInterface],
  ];
  for (const [node, name] of ends) {
    const [file, args] = enter(lab.namespace(node), ['ethtool', '-K', name, 'tx', 'off', 'gro', 'on']);
    await execa(file, args);
  }
  const machine = lab.backends[0];
  if (machine === undefined) throw new Error('The lab has no machine.');
  const neighbour = ['neighbour', 'replace', machine.address, 'lladdr', machine.mac, 'dev', 'lan0'];
  await lab.exec('gateway', ['ip', ...neighbour, 'nud', 'permanent']);
  await lab.exec('gateway', ['ip', 'route', 'add', machines, 'via', machine.address]);
}

function flowsTo(mappings: number, flows: number): Uint8Array {
  return encodeFlows(
    Array.from({ length: flows }, (_, number) => ({
      source: addressNumber(client.address),
      sourcePort: 1024 + number,
      destination: addressNumber(frontendAddress(pool)),
      destinationPort: firstPort + (number % mappings),
    })),
  );
}
