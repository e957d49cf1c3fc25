// Two gateways on the same conversations: every frame of one must be a frame of the other.
import { differences } from '../packets/frame/dissect.ts';
import {
  type Captured,
  withoutFragmentIdentification,
  withoutIdentification,
  withoutPorts,
} from './captured.ts';
import type { Conversation } from './conversation.ts';
import type { Rig } from './rig.ts';
import { type Echo, Speech } from './speech.ts';

export interface Comparison {
  /** What was not the same, in words; at most twenty. */
  readonly complaints: readonly string[];
  /** Packets that arrived with other addresses or ports, through the first gateway. */
  readonly translated: number;
  readonly speeches: readonly [Speech, Speech];
}

/** Speaks the same conversations through both. */
export async function compare(
  [one, other]: readonly [Rig, Rig],
  conversations: readonly Conversation[],
): Promise<Comparison> {
  const speeches = [new Speech(one, conversations), new Speech(other, conversations)] as const;
  const complaints: string[] = [];
  const turns = Math.max(...conversations.map(({ steps }) => steps.length));
  for (let turn = 0; turn < turns; turn += 1) {
    for (const side of ['client', 'machine'] as const) {
      const [first, second] = await Promise.all([speeches[0].say(turn, side), speeches[1].say(turn, side)]);
      const reported = reportedIn(speeches, conversations);
      for (const complaint of disagreements(first, second, reported)) {
        if (complaints.length < 20) complaints.push(complaint);
      }
    }
  }
  return { complaints, translated: speeches[0].translated, speeches };
}

/** Numbers of conversations whose client has another port at the machine than its own. */
function reportedIn(
  speeches: readonly Speech[],
  conversations: readonly Conversation[],
): ReadonlySet<number> {
  return new Set(
    conversations.flatMap((conversation, number) =>
      speeches.some((speech) => {
        const [client] = speech.reached(conversation) ?? [];
        return client !== undefined && client[1] !== conversation.client[1];
      })
        ? [number]
        : [],
    ),
  );
}

function* disagreements(first: Echo, second: Echo, reported: ReadonlySet<number>): Generator<string> {
  for (const key of new Set([...first.known.keys(), ...second.known.keys()])) {
    const isReported = reported.has(Number(/conversation (\d+)/.exec(key)?.[1]));
    const canonical = ({ frame }: Captured): Uint8Array =>
      withoutFragmentIdentification(isReported ? withoutPorts(frame) : frame);
    const one = sorted((first.known.get(key) ?? []).map(canonical));
    const other = sorted((second.known.get(key) ?? []).map(canonical));
    yield* unequal(key, one, other);
  }
  const own = ({ own }: Echo) =>
    own
      .map(({ side, captured, about }) => {
        const frame =
          about !== undefined && reported.has(about) ? withoutPorts(captured.frame) : captured.frame;
        return `${side} ${Buffer.from(withoutIdentification(frame)).toString('hex')}`;
      })
      .toSorted();
  const [one, other] = [own(first), own(second)];
  for (const text of one) if (!other.includes(text)) yield `only the first gateway says to the ${said(text)}`;
  for (const text of other)
    if (!one.includes(text)) yield `only the second gateway says to the ${said(text)}`;
}

function* unequal(key: string, one: readonly Uint8Array[], other: readonly Uint8Array[]): Generator<string> {
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const [a, b] = [one[index], other[index]];
    if (a === undefined || b === undefined) {
      yield `${key}: ${one.length} frames from the first gateway, ${other.length} from the second`;
      return;
    }
    if (Buffer.compare(a, b) !== 0) yield `${key}: ${differences(b, a).replaceAll('\n', '; ')}`;
  }
}

function said(text: string): string {
  return text.slice(0, 300);
}

function sorted(frames: readonly Uint8Array[]): readonly Uint8Array[] {
  return frames.toSorted(Buffer.compare);
}
