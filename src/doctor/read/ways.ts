// The way to each machine: its route, and what the kernel knows of the neighbour there. As root, asks for neighbours
// that the kernel is not sure of, as it would for a packet.
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { Way } from '../judge/machines.ts';
import { askIp, field, listOf, objects, textOf } from './ip.ts';

/** Neighbours are asked three times, a second apart (kernel: ip-sysctl, mcast_solicit, retrans_time_ms). */
const patience = 4_500;
/** More at once could push others out of the kernel's table. */
const mostAsked = 256;
const routesAtOnce = 500;

interface Hop {
  readonly link: string;
  /** The neighbour's address; empty where none is needed. */
  readonly via: string;
}

/** `fixed`: never asked. `answered`: some seconds ago. `stale`: longer ago. `asking`: no answer yet. */
type Neighbour = 'fixed' | 'answered' | 'stale' | 'asking' | 'failed' | 'unasked';

/** By address. `ask` needs root, and takes up to 4.5 seconds where somebody does not answer. */
export async function readWays(
  addresses: readonly string[],
  ask: boolean,
): Promise<ReadonlyMap<string, Way>> {
  const hops = await readHops(addresses);
  const places = new Map(
    [...hops.values()].flatMap((hop) => (hop?.via ? [[placeOf(hop), hop] as const] : [])),
  );
  let neighbours = await readNeighbours();
  if (ask) {
    const stateOf = (place: string): Neighbour => neighbours.get(place) ?? 'unasked';
    const settled = (place: string): boolean => ['fixed', 'answered', 'failed'].includes(stateOf(place));
    // One that answered half a minute ago may be gone, and one that did not may be back.
    const asked = [...places].filter(([place]) => stateOf(place) !== 'fixed').slice(0, mostAsked);
    await askFor(
      asked.map(([place, hop]) => ({ ...hop, heard: ['answered', 'stale'].includes(stateOf(place)) })),
    );
    const deadline = Date.now() + patience;
    for (let left = asked; left.length > 0 && Date.now() < deadline; ) {
      await sleep(50);
      neighbours = await readNeighbours();
      left = left.filter(([place]) => !settled(place));
    }
  }
  return new Map(addresses.map((address): [string, Way] => [address, wayOf(hops.get(address), neighbours)]));
}

function wayOf(hop: Hop | undefined, neighbours: ReadonlyMap<string, Neighbour>): Way {
  if (hop === undefined) return { kind: 'unrouted' };
  if (hop.via === '') return { kind: 'direct' };
  const neighbour = neighbours.get(placeOf(hop)) ?? 'unasked';
  const state = {
    fixed: 'known',
    answered: 'known',
    stale: 'known',
    asking: 'silent',
    failed: 'silent',
    unasked: 'unasked',
  } as const;
  return { kind: 'neighbour', address: hop.via, link: hop.link, state: state[neighbour] };
}

function placeOf({ link, via }: Hop): string {
  return `${link} ${via}`;
}

/** Next hops by address; undefined where the kernel knows none. */
async function readHops(addresses: readonly string[]): Promise<ReadonlyMap<string, Hop | undefined>> {
  const hops = new Map<string, Hop | undefined>();
  for (let at = 0; at < addresses.length; at += routesAtOnce) {
    const part = addresses.slice(at, at + routesAtOnce);
    const { stdout, stderr } = await execa('ip', ['-json', '-force', '-batch', '-'], {
      input: part.map((address) => `route get ${address}\n`).join(''),
      reject: false,
    });
    const failed = new Set([...stderr.matchAll(/Command failed -:(\d+)/g)].map((match) => Number(match[1])));
    // One answer a line, for those that did not fail.
    const answers = stdout.split('\n').filter((line) => line.startsWith('['));
    for (const [index, address] of part.entries()) {
      const hop = failed.has(index + 1) ? undefined : hopOf(address, objects(answers.shift() ?? '[]')[0]);
      hops.set(address, hop);
    }
  }
  return hops;
}

function hopOf(address: string, route: unknown): Hop | undefined {
  const type = textOf(route, 'type');
  const link = textOf(route, 'dev');
  if (['unreachable', 'blackhole', 'prohibit'].includes(type)) return undefined;
  if (type === 'local' || link === '' || link === 'lo') return { link, via: '' };
  return { link, via: textOf(route, 'gateway') || textOf(route, 'via', 'host') || address };
}

async function readNeighbours(): Promise<ReadonlyMap<string, Neighbour>> {
  const all = await askIp('neighbour', 'show', 'nud', 'all');
  return new Map(
    all.map((one) => [
      placeOf({ link: textOf(one, 'dev'), via: textOf(one, 'dst') }),
      neighbourOf(listOf(one, 'state'), field(one, 'lladdr') !== undefined),
    ]),
  );
}

function neighbourOf(states: readonly unknown[], hasAddress: boolean): Neighbour {
  if (states.includes('FAILED')) return 'failed';
  if (states.includes('INCOMPLETE')) return 'asking';
  if (states.includes('PERMANENT') || states.includes('NOARP')) return 'fixed';
  if (states.includes('REACHABLE')) return 'answered';
  return hasAddress ? 'stale' : 'unasked';
}

/** `use` has the kernel ask as for a packet, `probe` has it make sure; neither changes what it knows. */
async function askFor(hops: readonly (Hop & { readonly heard: boolean })[]): Promise<void> {
  if (hops.length === 0) return;
  const lines = hops.map(({ via, link, heard }) => {
    return heard
      ? `neighbour change ${via} dev ${link} nud probe\n`
      : `neighbour replace ${via} dev ${link} use\n`;
  });
  await execa('ip', ['-force', '-batch', '-'], { input: lines.join(''), reject: false });
}
