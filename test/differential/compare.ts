// Two gateways on the same conversations: every frame of one must be a frame of the other.
import { differences } from '../packets/frame/dissect.ts';
import {
  type Captured,
  withoutFragmentIdentification,
  withoutIdentification,
  withoutPorts,
} from './captured.ts';
import { type Conversation, describeStep } from './conversation.ts';
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
      for (const { about, text } of disagreements(first, second, reported)) {
        const conversation = about === undefined ? undefined : conversations[about];
        const story = conversation === undefined ? '' : `; ${describeStep(conversation, turn)}`;
        if (complaints.length < 20) complaints.push(`${text}${story}`);
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

interface Disagreement {
  /** The number of the conversation. */
  readonly about?: number;
  readonly text: string;
}

function* disagreements(first: Echo, second: Echo, reported: ReadonlySet<number>): Generator<Disagreement> {
  for (const key of new Set([...first.known.keys(), ...second.known.keys()])) {
    const about = Number(/conversation (\d+)/.exec(key)?.[1]);
    const canonical = ({ frame }: Captured): Uint8Array =>
      withoutFragmentIdentification(reported.has(about) ? withoutPorts(frame) : frame);
    const one = sorted((first.known.get(key) ?? []).map(canonical));
    const other = sorted((second.known.get(key) ?? []).map(canonical));
    for (const text of unequal(key, one, other)) yield { about, text };
  }
  const [one, other] = [first, second].map(({ own }) => ownWords(own, reported));
  yield* missing('first', one ?? [], other ?? []);
  yield* missing('second', other ?? [], one ?? []);
}

interface OwnWord {
  readonly about?: number | undefined;
  readonly text: string;
}

function ownWords(own: Echo['own'], reported: ReadonlySet<number>): readonly OwnWord[] {
  return own.map(({ side, captured, about }) => {
    const frame = about !== undefined && reported.has(about) ? withoutPorts(captured.frame) : captured.frame;
    return { about, text: `${side} ${Buffer.from(withoutIdentification(frame)).toString('hex')}` };
  });
}

function* missing(
  name: string,
  words: readonly OwnWord[],
  others: readonly OwnWord[],
): Generator<Disagreement> {
  for (const { about, text } of words) {
    if (others.some((other) => other.text === text)) continue;
    yield {
      ...(about === undefined ? {} : { about }),
      text: `only the ${name} gateway says to the ${text.slice(0, 300)}`,
    };
  }
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

function sorted(frames: readonly Uint8Array[]): readonly Uint8Array[] {
  return frames.toSorted(Buffer.compare);
}
