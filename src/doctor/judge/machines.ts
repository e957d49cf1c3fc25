// Whether the machines that are declared can be reached: a route, and a neighbour that answers.
import { type Check, fine, found, type Reading, unknown } from '../check.ts';

/** One address that rules lead to. */
export interface Machine {
  readonly address: string;
  /** Where it is declared, to take it out by; absent for a single target that is no member. */
  readonly member?: { readonly loadBalancer: string; readonly pool: string; readonly id: string };
  /** Taken out of balancing already. */
  readonly down: boolean;
}

/** The way to a machine: over which neighbour, and in which state that is. */
export type Way =
  | { readonly kind: 'unrouted' }
  /** One of the host's own addresses, or over an interface without neighbours. */
  | { readonly kind: 'direct' }
  | {
      readonly kind: 'neighbour';
      readonly address: string;
      readonly link: string;
      readonly state: NeighbourState;
    };

/** `silent`: asked for, and no answer. `unasked`: nobody has tried. */
export type NeighbourState = 'known' | 'silent' | 'unasked';

/** How many machines are named one by one. */
const named = 20;

export function judgeMachines(
  machines: readonly Machine[],
  ways: Reading<ReadonlyMap<string, Way>>,
): readonly Check[] {
  if (machines.length === 0) return [];
  if (ways.kind === 'unknown') return [unknown('MACHINE_UNREACHABLE', '', ways)];
  const trouble: Check[] = [];
  const unasked: string[] = [];
  let fineOnes = 0;
  for (const machine of machines) {
    const way = ways.value.get(machine.address);
    if (way === undefined || (way.kind === 'neighbour' && way.state === 'unasked')) {
      unasked.push(machine.address);
    } else if (way.kind === 'unrouted') {
      trouble.push(unrouted(machine));
    } else if (way.kind === 'neighbour' && way.state === 'silent') {
      trouble.push(silent(machine, way));
    } else fineOnes += 1;
  }
  return [
    ...trouble.slice(0, named),
    ...summary(trouble.slice(named)),
    ...(fineOnes > 0
      ? [fine('MACHINE_UNREACHABLE', '', `${fineOnes} machines have a neighbour that answers`)]
      : []),
    ...(unasked.length > 0 ? [notAsked(unasked)] : []),
  ];
}

function silent({ address, member, down }: Machine, way: Way & { kind: 'neighbour' }): Check {
  const router = way.address === address ? '' : `its router ${way.address} `;
  const message = `${router}does not answer on ${way.link}`;
  const first = way.address === address ? 'start the machine' : `start ${way.address}, or mend the route`;
  if (down) return found('MACHINE_UNREACHABLE', address, message, first, 'info');
  return found('MACHINE_UNREACHABLE', address, message, `${first}; until then: ${takeOut(address, member)}`);
}

function takeOut(address: string, member: Machine['member']): string {
  if (member === undefined) return 'let the rule lead to another machine, and penstock apply';
  const { loadBalancer, pool, id } = member;
  const which = id === address ? address : `${id}=${address}`;
  return `penstock member add ${loadBalancer} ${pool} ${which} --admin-state DOWN`;
}

function unrouted({ address }: Machine): Check {
  const family = address.includes(':') ? '-6 ' : '';
  const prefix = address.includes(':') ? 128 : 32;
  return found(
    'MACHINE_UNROUTED',
    address,
    'there is no route to it',
    `ip ${family}route add ${address}/${prefix} via ROUTER`,
  );
}

function summary(more: readonly Check[]): readonly Check[] {
  const [first] = more;
  if (first === undefined) return [];
  const addresses = more.map(({ subject }) => subject).join(' ');
  return [found('MACHINE_UNREACHABLE', '', `${more.length} more machines: ${addresses}`, first.remedy)];
}

function notAsked(addresses: readonly string[]): Check {
  const some = addresses.slice(0, named).join(' ');
  const more = addresses.length > named ? ` and ${addresses.length - named} more` : '';
  return unknown('MACHINE_UNREACHABLE', '', {
    reason: `no packet has gone to these machines yet, and nobody has asked for them: ${some}${more}`,
    remedy: `penstock doctor as root asks for the first ones; ping does for any other`,
  });
}

/** `most` is the kernel's gc_thresh3, by family; undefined where it cannot be seen. */
export function judgeNeighbourTable(
  machines: readonly Machine[],
  most: { readonly ipv4?: number; readonly ipv6?: number },
): readonly Check[] {
  return (['ipv4', 'ipv6'] as const).flatMap((family): readonly Check[] => {
    const limit = most[family];
    if (limit === undefined) return [];
    const code = 'NEIGHBOUR_TABLE_SMALL';
    const count = machines.filter(({ address }) => address.includes(':') === (family === 'ipv6')).length;
    const subject = family === 'ipv4' ? 'IPv4' : 'IPv6';
    if (count * 2 <= limit) return [fine(code, subject, `room for ${limit} neighbours`)];
    const name = `net.${family}.neigh.default.gc_thresh`;
    const wanted = 2 ** Math.ceil(Math.log2(count * 4));
    const message = `room for ${limit} neighbours, for ${count} machines and all others`;
    return [found(code, subject, message, `sysctl -w ${name}3=${wanted} ${name}2=${wanted / 2}`)];
  });
}
