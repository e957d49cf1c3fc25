// Speaks conversations through one gateway: who was reached, and every frame that came of it.
import { type Body, type End, error, type Fields, type Packet, tcp, udp } from '../packets/frame/packet.ts';
import { rewrite } from '../packets/frame/rewrite.ts';
import { type Captured, read } from './captured.ts';
import type { Conversation, Step } from './conversation.ts';
import type { Rig, Side } from './rig.ts';

/** What came of the packets that were sent at once. */
export interface Echo {
  /** By the side where it was heard, the conversation's number, and the step's. */
  readonly known: ReadonlyMap<string, readonly Captured[]>;
  /** What the gateway has made itself: resets, ICMP errors. */
  readonly own: readonly Own[];
}

interface Own {
  readonly side: Side;
  readonly captured: Captured;
  /** The number of the conversation that an ICMP error is about. */
  readonly about?: number;
}

/** Of complaints, to tell them from the gateway's own: nobody on the way changes it. */
const complaintTos = 4;

/** What one side has heard last, in the words of who said it. */
interface Last {
  readonly packet: Packet;
}

export class Speech {
  readonly #rig: Rig;
  readonly #conversations: readonly Conversation[];
  readonly #last: Record<Side, Map<Conversation, Last>> = { client: new Map(), machine: new Map() };
  /** How many packets arrived on the other side with other addresses or ports. */
  translated = 0;

  constructor(rig: Rig, conversations: readonly Conversation[]) {
    this.#rig = rig;
    this.#conversations = conversations;
  }

  /** Says the next word of every conversation whose turn on this side it is. */
  async say(turn: number, from: Side): Promise<Echo> {
    const packets: Packet[] = [];
    const said = new Map<number, { readonly number: number; readonly step: Step; readonly packet: Packet }>();
    for (const [number, conversation] of this.#conversations.entries()) {
      const step = conversation.steps[turn];
      if (step?.from !== from) continue;
      const packet = this.#packet(conversation, step);
      if (packet === undefined) continue;
      said.set(step.id, { number, step, packet });
      packets.push(...fragmentsOf(packet, step));
    }
    const heard = await this.#rig.exchange(from, packets);
    const known = new Map<string, Captured[]>();
    const own: Own[] = [];
    for (const side of ['client', 'machine'] as const) {
      for (const captured of heard[side].map(read)) {
        if (captured === undefined) continue;
        const word = said.get(captured.id);
        const complaint = captured.protocol === 'icmp';
        if (word === undefined || (complaint && captured.tos !== complaintTos)) {
          const about = said.get(captured.quotedId)?.number;
          own.push({ side, captured, ...(about === undefined ? {} : { about }) });
          continue;
        }
        const key = `at the ${side}'s: conversation ${word.number}, step ${turn}`;
        known.set(key, [...(known.get(key) ?? []), captured]);
        const conversation = this.#conversations[word.number];
        if (side === from || complaint || captured.protocol === 'fragment' || conversation === undefined)
          continue;
        this.#hear(side, conversation, word.packet, captured);
      }
    }
    return { known, own };
  }

  /** Whom a conversation's packets reach: the client as the machine sees it, and the machine. */
  reached(conversation: Conversation): readonly [End, End] | undefined {
    const ends = endsOf(this.#last.machine.get(conversation)?.packet);
    return ends;
  }

  #hear(side: Side, conversation: Conversation, packet: Packet, captured: Captured): void {
    const { source, destination, ttl } = captured;
    const before = endsOf(packet);
    if (String(before) !== String([source, destination])) this.translated += 1;
    const arrived = rewrite(packet, { from: source, to: destination });
    const ip = arrived.ip.version === 4 ? { ...arrived.ip, ttl } : { ...arrived.ip, hopLimit: ttl };
    this.#last[side].set(conversation, { packet: { ...arrived, ip } });
  }

  #packet(conversation: Conversation, step: Step): Packet | undefined {
    const last = this.#last[step.from].get(conversation);
    const [there, here] = endsOf(last?.packet) ?? [];
    const fields: Fields = { ...step, identification: step.id, flowLabel: step.id };
    if (step.kind === 'complaint') {
      if (last === undefined || here === undefined || there === undefined) return undefined;
      // See the limits in bpf/README.md.
      if (last.packet.ip.version === 6 && last.packet.ip.extensions.length > 0) return undefined;
      const six = conversation.family === 6;
      const [type, code, rest] = six ? sixth(step) : [step.type, step.code, step.rest];
      const bytes = headerBytes(last.packet) + step.bytes;
      const router =
        step.from === 'client'
          ? six
            ? '2001:db8:c::fe'
            : '198.51.100.254'
          : six
            ? 'fd00:10::fe'
            : '10.0.0.254';
      return error(step.byRouter ? router : here[0], there[0], last.packet, {
        ...fields,
        extensions: [],
        tos: complaintTos,
        type,
        code,
        rest,
        bytes,
      });
    }
    const speakers = speakersOf(conversation, step, here, there);
    if (speakers === undefined) return undefined;
    const { flags, sequence, acknowledgement, payload } = step;
    if (conversation.transport === 'udp') {
      // IPv6 has no datagrams without a checksum (RFC 8200, 8.1).
      return udp(...speakers, {
        ...fields,
        payload,
        noChecksum: step.noChecksum && conversation.family === 4,
      });
    }
    const packet = tcp(...speakers, { ...fields, flags, payload });
    return { ...packet, body: { ...packet.body, sequence, acknowledgement } as Body };
  }
}

function speakersOf(
  { client, target, machine, steps }: Conversation,
  step: Step,
  here: End | undefined,
  there: End | undefined,
): [End, End] | undefined {
  if (here !== undefined && there !== undefined && (step.from === 'machine' || machine !== undefined))
    return [here, there];
  if (step.from === 'client') return machine === undefined ? [client, target] : undefined;
  return machine !== undefined && steps[0] === step ? [machine, client] : undefined;
}

function headerBytes({ ip }: Packet): number {
  if (ip.version === 4) return 20 + ip.options.length;
  return 40 + ip.extensions.reduce((sum, { body }) => sum + 2 + body.length, 0);
}

function endsOf(packet: Packet | undefined): [End, End] | undefined {
  if (packet === undefined) return undefined;
  const { ip, body } = packet;
  if (body.kind !== 'tcp' && body.kind !== 'udp') return undefined;
  return [
    [ip.source, body.sourcePort],
    [ip.destination, body.destinationPort],
  ];
}

/** The same complaint in ICMPv6 (RFC 4443). */
function sixth({
  type,
  code,
  rest,
}: {
  readonly type: number;
  readonly code: number;
  readonly rest: number;
}) {
  if (type === 3 && code === 4) return [2, 0, rest] as const;
  if (type === 3) return [1, code === 3 ? 4 : 0, 0] as const;
  return type === 11 ? ([3, 0, 0] as const) : ([4, 0, 0] as const);
}

function fragmentsOf(packet: Packet, step: Step): readonly Packet[] {
  if (step.kind === 'complaint' || step.fragments === 1) return [packet];
  const whole = 8 + step.payload.length;
  const size = Math.ceil(whole / step.fragments / 8) * 8;
  return Array.from({ length: step.fragments }, (_, index) => ({
    ...packet,
    ip: { ...packet.ip, slice: { from: index * size, to: Math.min((index + 1) * size, whole) } },
  })).filter(({ ip }) => ip.slice.from < whole);
}
