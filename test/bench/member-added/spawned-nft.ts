// The yardstick of a small change: nft, spawned for the very same elements, in a table of the same shape and size.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Element, type Operation, textCommands } from '../../../src/dataplane/nftables/element.ts';
import { backendElement, entryElements } from '../../../src/dataplane/nftables/encode.ts';
import { skeletonText, tableName } from '../../../src/dataplane/nftables/skeleton.ts';
import type { IpAddress, Port } from '../../../src/resources/address.ts';
import type { Lab } from '../../lab/lab.ts';
import { enter } from '../../lab/namespaces.ts';
import type { BenchContext } from '../bench.ts';
import { backendPort, firstPort, frontendAddress, memberAddress, spare } from '../declaration.ts';

/** Stands in for the element that says which revision the kernel runs, which is part of every change. */
const stamp: Element = { set: 'stamp', key: [1], value: ['1111:2222:3333:4444:1:2:3:4'] };

export class SpawnedNft implements Disposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string) {
    if (child.stdout === null) throw new Error('The timer of nft has no output.');
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#directory = directory;
  }

  /**
   * Loads a copy of the table that an agent has for `pools` pools of 1,000. It lives in the client's namespace, where no
   * agent sees it: its changes would be foreign ones in the gateway's.
   */
  static async prepare(context: BenchContext, lab: Lab, pools: number): Promise<SpawnedNft> {
    const directory = await context.directory();
    const namespace = lab.namespace('client');
    const program = join(import.meta.dirname, 'nft-timer.py');
    const [file, args] = enter(namespace, ['/usr/bin/python3', program]);
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const nft = context.use(new SpawnedNft(child, directory));
    const elements = Array.from({ length: pools }, (_, pool) =>
      Array.from({ length: 1000 }, (_, member) => mapping(pool, member)).flat(),
    ).flat();
    const load = [skeletonText(tableName), ...textCommands(adding([...elements, stamp]))];
    await nft.#run('load', load.join(''));
    return nft;
  }

  /** Milliseconds to add one more member to a pool. The member is taken away again. */
  async add(pool: number, count: number): Promise<number> {
    const elements = mapping(pool, 1000 + (count % spare));
    const nextStamp: readonly Operation[] = [
      { verb: 'delete', element: stamp },
      { verb: 'add', element: stamp },
    ];
    const added = await this.#run('add', [...textCommands([...adding(elements), ...nextStamp])].join(''));
    const removal = elements.map((element): Operation => ({ verb: 'delete', element }));
    await this.#run('remove', [...textCommands(removal)].join(''));
    return added;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }

  async #run(name: string, text: string): Promise<number> {
    const file = join(this.#directory, `${name}.nft`);
    await writeFile(file, text);
    this.#child.stdin?.write(`${file}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('nft refused the elements.');
    return Number(value) / 1e6;
  }
}

function mapping(pool: number, member: number): readonly Element[] {
  const address = memberAddress(pool, member) as IpAddress;
  return [
    ...entryElements({
      endpoint: {
        address: frontendAddress(pool) as IpAddress,
        transport: 'udp',
        port: (firstPort + member) as Port,
      },
      target: { kind: 'nat', address, port: backendPort as Port, masquerade: false },
    }),
    backendElement(address),
  ];
}

function adding(elements: readonly Element[]): readonly Operation[] {
  return elements.map((element) => ({ verb: 'add', element }));
}
