// What client and machine say to each other, made up beforehand: the same words are spoken through both gateways.
import { addressOf, type Family } from '../e2e/support/declare.ts';
import { backend } from '../lab/topology.ts';
import type { End, Extension } from '../packets/frame/packet.ts';
import type { Random } from './random.ts';
import { clients, machineCount, type Side } from './rig.ts';
import { type Door, frontendAddress, type Transport } from './world.ts';

export interface Conversation {
  readonly family: Family;
  readonly transport: Transport;
  readonly client: End;
  /** Whom the client means: a frontend, a machine, or nobody. */
  readonly target: End;
  /** Where a machine speaks first: from here, to the client. */
  readonly machine?: End;
  readonly steps: readonly Step[];
}

/** One packet, or one that is sent in fragments. */
export type Step = {
  readonly from: Side;
  /** IPv4 identification or IPv6 flow label, by which it is known again. */
  readonly id: number;
  readonly ttl: number;
  readonly dontFragment: boolean;
  readonly ipOptions: readonly number[];
  readonly extensions: readonly Extension[];
} & (Spoken | Complaint);

interface Spoken {
  readonly kind: 'spoken';
  readonly flags: string;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly payload: readonly number[];
  readonly noChecksum: boolean;
  /** Into how many fragments it is cut. */
  readonly fragments: number;
}

/** An ICMP error about the last packet that was heard. */
interface Complaint {
  readonly kind: 'complaint';
  readonly type: number;
  readonly code: number;
  readonly rest: number;
  /** How much is quoted of what follows the IP headers: at least 8 bytes (RFC 792). */
  readonly bytes: number;
  /** From somebody on the way, not from who was spoken to. */
  readonly byRouter: boolean;
}

/** In a few words, so that a difference can be understood. */
export function describeStep(
  { transport, client, target, machine, steps }: Conversation,
  turn: number,
): string {
  const ends = machine === undefined ? [client, target] : [machine, client];
  const words = steps.slice(0, turn + 1).map((step) => {
    const text =
      step.kind === 'complaint'
        ? `ICMP ${step.type}/${step.code} quoting ${step.bytes}${step.byRouter ? ' by a router' : ''}`
        : `${step.flags || 'datagram'} ${step.payload.length}${step.fragments > 1 ? ` in ${step.fragments}` : ''}`;
    const odd = [
      step.ttl === 64 ? '' : `ttl ${step.ttl}`,
      step.ipOptions.length > 0 ? 'options' : '',
      step.extensions.length > 0 ? `extension ${step.extensions[0]?.type}` : '',
    ].filter((one) => one !== '');
    return `${step.from === 'client' ? '>' : '<'} ${[text, ...odd].join(', ')}`;
  });
  return `${transport} ${ends.map((end) => end.join(' ')).join(' to ')}: ${words.join(' | ')}`;
}

/** So many, each from an end that no other one has. */
export function randomConversations(
  random: Random,
  doors: readonly Door[],
  count: number,
): readonly Conversation[] {
  return distinct(random, count, (nextId) => {
    const door = random.pick(doors);
    const client: End = [random.pick(clients[door.family]), random.between(1024, 65_535)];
    return [`${door.transport} ${client.join(' ')}`, aboutAnything(random, door, client, nextId)];
  });
}

/**
 * So many through doors alone, from a few ends: where two doors lead to one port of a machine, their flows would be one if
 * the gateway did not give one of them another port.
 */
export function crowdedConversations(
  random: Random,
  doors: readonly Door[],
  count: number,
): readonly Conversation[] {
  const crowds = new Map<string, number>();
  return distinct(random, count, (nextId) => {
    const door = random.pick(doors);
    const { family, transport, end: target } = door;
    const client: End = [random.pick(clients[family].slice(0, 2)), random.between(40_000, 40_063)];
    const from = `${transport} ${client.join(' ')}`;
    const before = crowds.get(from) ?? 0;
    if (before >= mostFromOneEnd) return undefined;
    crowds.set(from, before + 1);
    // Fragments go by way of conntrack, which knows nothing of flows that XDP keeps (see the limits in bpf/README.md).
    const steps = stepsThrough(random, door, nextId, 'client').map((step) =>
      step.kind === 'spoken' && step.from === 'client' ? { ...step, fragments: 1 } : step,
    );
    return [`${from} ${target.join(' ')}`, { family, transport, client, target, steps }];
  });
}

/** XDP keeps seven flows at once that differ only in whom the client talks to, before they are open. */
const mostFromOneEnd = 4;

function distinct(
  random: Random,
  count: number,
  make: (nextId: () => number) => readonly [key: string, conversation: Conversation] | undefined,
): readonly Conversation[] {
  const made = new Map<string, Conversation>();
  let id = random.between(1, 1000);
  for (let attempts = 0; made.size < count && attempts < 20 * count; attempts += 1) {
    const [key, conversation] = make(() => (id += 1)) ?? [];
    if (key !== undefined && conversation !== undefined && !made.has(key)) made.set(key, conversation);
  }
  return [...made.values()];
}

function aboutAnything(random: Random, door: Door, client: End, nextId: () => number): Conversation {
  const { family, transport, end } = door;
  const machine = addressOf(backend(random.between(1, machineCount)), family);
  const service: End = [machine, random.pick([22, 80, 8080, 9999])];
  const told = { family, transport, client };
  const steps = (first: Side) => stepsThrough(random, door, nextId, first);
  switch (random.number(28)) {
    case 0:
      return { ...told, target: [end[0], 7], steps: steps('client') };
    case 1:
      return { ...told, target: [frontendAddress(family, 200), 80], steps: steps('client') };
    case 2:
      return { ...told, target: service, steps: steps('client') };
    case 3:
      return { ...told, target: end, machine: service, steps: steps('machine') };
    default:
      return { ...told, target: end, steps: steps('client') };
  }
}

function stepsThrough(
  random: Random,
  { transport }: Door,
  nextId: () => number,
  first: Side,
): readonly Step[] {
  if (transport === 'udp') return udpSteps(random, nextId, first);
  // Some begin in their midst, as after a restart of the gateway; but not from a machine's port that a rule leads to, where
  // they would be taken for answers.
  return tcpSteps(random, nextId, first, first === 'client' && random.once(20));
}

const other: Readonly<Record<Side, Side>> = { client: 'machine', machine: 'client' };

/** Of a payload, in bytes: the client's are too large for the machines' link, together with any headers. */
const largest: Readonly<Record<Side, number>> = { client: 1400, machine: 1300 };

function tcpSteps(random: Random, nextId: () => number, first: Side, inItsMidst: boolean): readonly Step[] {
  const next: Record<Side, number> = { client: random.number(2 ** 32), machine: random.number(2 ** 32) };
  const steps: Step[] = [];
  const say = (from: Side, flags: string, payload: readonly number[] = []): void => {
    const acknowledgement = flags.includes('A') ? next[other[from]] : 0;
    steps.push(spoken(random, nextId(), from, { flags, sequence: next[from], acknowledgement, payload }));
    const consumed = payload.length + (/[SF]/.test(flags) ? 1 : 0);
    next[from] = (next[from] + consumed) >>> 0;
  };
  if (!inItsMidst) {
    say(first, 'S');
    say(other[first], 'SA');
  }
  say(first, 'A');
  for (let words = random.between(1, 6); words > 0; words -= 1) {
    const from = random.pick(['client', 'machine'] as const);
    say(from, random.pick(['A', 'PA']), random.bytes(random.pick([0, 1, 7, 64, 333, largest[from]])));
    if (random.once(6)) steps.push(complaint(random, nextId(), other[from]));
  }
  if (random.once(2)) {
    const last = random.pick(['client', 'machine'] as const);
    say(last, 'FA');
    say(other[last], 'FA');
    say(last, 'A');
  } else if (random.once(3)) say(random.pick(['client', 'machine'] as const), 'RA');
  // What conntrack has not seen begin, it does not let end.
  return steps.map((step, index) => (index === 0 && step.ttl === 1 ? { ...step, ttl: 64 } : step));
}

function udpSteps(random: Random, nextId: () => number, first: Side): readonly Step[] {
  const steps: Step[] = [];
  for (let words = random.between(1, 7); words > 0; words -= 1) {
    const from = steps.length === 0 ? first : random.pick(['client', 'machine'] as const);
    const payload = random.bytes(random.pick([0, 1, 8, 63, 400, 1000, largest[from]]));
    steps.push(spoken(random, nextId(), from, { flags: '', sequence: 0, acknowledgement: 0, payload }));
    if (random.once(6)) steps.push(complaint(random, nextId(), other[from]));
  }
  return steps;
}

function spoken(
  random: Random,
  id: number,
  from: Side,
  words: Pick<Spoken, 'flags' | 'sequence' | 'acknowledgement' | 'payload'>,
): Step {
  const fragments =
    words.flags === '' && words.payload.length > 300 && random.once(3) ? random.between(2, 3) : 1;
  return {
    kind: 'spoken',
    from,
    id,
    ...words,
    noChecksum: random.once(8),
    fragments,
    ...unusual(random, fragments > 1, /[FR]/.test(words.flags)),
  };
}

function complaint(random: Random, id: number, from: Side): Step {
  const [type, code, rest] = random.pick([
    [3, 3, 0],
    [3, 1, 0],
    [3, 4, 1300],
    [11, 0, 0],
    [12, 0, 0],
  ] as const);
  const bytes = random.pick([8, 20, 32, 108, 500]);
  return {
    kind: 'complaint',
    from,
    id,
    type,
    code,
    rest,
    bytes,
    byRouter: random.once(3),
    ...unusual(random, true, false),
  };
}

/** What few packets have: a hop limit that ends here, IP options, extension headers. */
function unusual(random: Random, fragmented: boolean, ending: boolean) {
  const plain = { ttl: 64, dontFragment: !fragmented && !random.once(3), ipOptions: [], extensions: [] };
  if (!random.once(8)) return plain;
  return random.pick([
    // One that ends a connection means nothing to conntrack where it has seen nothing else of it.
    { ...plain, ttl: ending ? 2 : 1 },
    { ...plain, ttl: 2 },
    { ...plain, ttl: 255 },
    // Three no-operations and the end; room for three addresses of routers (RFC 791).
    { ...plain, ipOptions: [1, 1, 1, 0] },
    { ...plain, ipOptions: [7, 15, 4, ...Array<number>(12).fill(0), 0] },
    // PadN in hop-by-hop and destination options (RFC 8200).
    { ...plain, extensions: [{ type: 0, body: [1, 4, 0, 0, 0, 0] }] },
    { ...plain, extensions: [{ type: 60, body: [1, 4, 0, 0, 0, 0] }] },
  ]);
}
