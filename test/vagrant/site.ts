// Vagrant's machines as a place for the demo: the client and the gateway are machines, and the members of the pool share
// two more, each with addresses and servers of its own.
import type { Site } from '../demo/site.ts';
import type { DataPlane } from '../lab/record.ts';
import { type Backend, backend } from '../lab/topology.ts';
import { Traffic } from '../lab/traffic/traffic.ts';
import type { Machine, Ssh } from './ssh.ts';

/** Where the checkout is in the machines, as the Vagrantfile has it. */
export const checkout = '/srv/penstock';
const directory = '/tmp/penstock-demo';
const node = `${checkout}/node_modules/.bin/node`;
/** An emulated machine's, when it shares the processor with three others. */
const emulated = 10;
const services = { http: [80, 8080], https: [443], udp: [5300, 5301] };

export class Machines implements Site {
  readonly #ssh: Ssh;
  readonly dataplane: DataPlane;
  readonly slowness: number;
  #backends: readonly Backend[] = [];

  private constructor(ssh: Ssh, dataplane: DataPlane, slowness: number) {
    this.#ssh = ssh;
    this.dataplane = dataplane;
    this.slowness = slowness;
  }

  /** With a fresh agent on the gateway, and so many machines. */
  static async prepare(ssh: Ssh, dataplane: DataPlane, count: number): Promise<Machines> {
    const slow = (await virtualization(ssh, 'gateway')) === 'qemu';
    const machines = new Machines(ssh, dataplane, slow ? emulated : 1);
    await machines.#provision('gateway', 'fresh.sh', dataplane);
    await ssh.run('gateway', ['mkdir', '-p', directory]);
    for (let number = 1; number <= count; number += 1) await machines.addBackend();
    return machines;
  }

  get backends(): readonly Backend[] {
    return this.#backends;
  }

  async addBackend(): Promise<Backend> {
    let free = 1;
    while (this.#backends.some(({ number }) => number === free)) free += 1;
    const added = backend(free);
    const addresses = [added.address, added.address6];
    const order = JSON.stringify({ machine: added.node, addresses, ...services });
    await this.#provision(hostOf(added), 'machine.py', 'up', order);
    this.#backends = [...this.#backends, added].toSorted((one, other) => one.number - other.number);
    return added;
  }

  async removeBackend(name: Backend['node']): Promise<void> {
    const gone = this.#backends.find((each) => each.node === name);
    if (gone === undefined) throw new Error(`There is no machine ${name}.`);
    await this.#provision(hostOf(gone), 'machine.py', 'down', gone.node, gone.address, gone.address6);
    this.#backends = this.#backends.filter((each) => each !== gone);
  }

  async traffic(): Promise<Traffic> {
    return await Traffic.start(
      this.#ssh.command('client', [
        'env',
        `PENSTOCK_SLOWNESS=${this.slowness}`,
        node,
        `${checkout}/test/lab/traffic/client.ts`,
      ]),
    );
  }

  async put(name: string, text: string): Promise<void> {
    await this.#ssh.run('gateway', ['tee', `${directory}/${name}`], text);
  }

  async penstock(args: readonly string[]): Promise<string> {
    const script = 'cd "$1" && shift && exec sudo penstock "$@"';
    return await this.#ssh.run('gateway', ['sh', '-c', script, 'sh', directory, ...args]);
  }

  async #provision(machine: Machine, script: string, ...args: readonly string[]): Promise<void> {
    const program = script.endsWith('.py') ? 'python3' : 'bash';
    await this.#ssh.run(machine, ['sudo', program, `${checkout}/test/vagrant/provision/${script}`, ...args]);
  }
}

/** Odd numbers on the one, even ones on the other. */
export function hostOf({ number }: Backend): 'backend1' | 'backend2' {
  return number % 2 === 1 ? 'backend1' : 'backend2';
}

/** What systemd-detect-virt(1) says: `kvm`, `oracle`, or `qemu` where the processor is emulated. */
export async function virtualization(ssh: Ssh, machine: Machine): Promise<string> {
  return await ssh.run(machine, ['sh', '-c', 'systemd-detect-virt || true']);
}
