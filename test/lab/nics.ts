// The lab's wires: pairs of network cards that the virtual machine has wired together, else veth pairs.
import { execa } from 'execa';
import { batch } from './ip.ts';
import { type Node, namespaceOf } from './topology.ts';

export type Wire = readonly [WireEnd, WireEnd];

export interface WireEnd {
  readonly node: Node;
  /** Of the interface. */
  readonly name: string;
  /** Of a veth; default: any. A card keeps its own: vmxnet3 takes that again when a program is put on it. */
  readonly mac?: string;
}

/** Names of two network cards with a wire between them. */
export type NicPair = readonly [string, string];

interface Card {
  readonly ifname: string;
  readonly address: string;
  readonly permaddr?: string;
}

/**
 * Those of a virtual machine, told by their MAC addresses: 52:54:00:00:00:01 is wired to :02, :03 to :04, and so on. Throws
 * when there are fewer than so many: a test that wants network cards does not want to run on anything else.
 */
export async function findNicPairs(least: number): Promise<readonly NicPair[]> {
  const { stdout } = await execa('ip', ['-json', '-details', 'link', 'show']);
  const cards = new Map(
    (JSON.parse(stdout) as readonly Card[]).map(({ ifname, address, permaddr }) => [
      permaddr ?? address,
      ifname,
    ]),
  );
  const name = (number: number): string | undefined =>
    cards.get(`52:54:00:00:00:${number.toString(16).padStart(2, '0')}`);
  const pairs: NicPair[] = [];
  for (let number = 1; ; number += 2) {
    const [one, other] = [name(number), name(number + 1)];
    if (one === undefined || other === undefined) break;
    pairs.push([one, other]);
  }
  if (pairs.length < least) {
    throw new Error(
      `This machine has ${pairs.length} wired pairs of network cards, not ${least}: scripts/vm run --nics ${2 * least}.`,
    );
  }
  return pairs;
}

/**
 * Cards as far as there are some, in the order of the wires. Veths are made from inside of a namespace of the lab, in which
 * no interface has such a name: Linux 6.1 refuses a name that is taken where ip(8) runs, wherever it is to be.
 */
export async function joinWires(
  lab: string,
  wires: readonly Wire[],
  pairs: readonly NicPair[],
): Promise<void> {
  await batch(
    pairs.flatMap((pair, index) => {
      const wire = wires[index];
      return wire === undefined ? [] : [card(lab, pair[0], wire[0]), card(lab, pair[1], wire[1])];
    }),
  );
  await batch(
    wires
      .slice(pairs.length)
      .map(([one, other]) => `link add ${vethEnd(lab, one)} type veth peer ${vethEnd(lab, other)}`),
    namespaceOf(lab, 'switch'),
  );
}

function vethEnd(lab: string, { node, name, mac }: WireEnd): string {
  return `name ${name} ${mac === undefined ? '' : `address ${mac} `}netns ${namespaceOf(lab, node)}`;
}

function card(lab: string, current: string, { node, name }: WireEnd): string {
  return `link set ${current} netns ${namespaceOf(lab, node)} name ${name}`;
}
