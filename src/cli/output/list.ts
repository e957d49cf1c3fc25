// A list that the agent answers in chunks, for programs: one object, written as the chunks come.
import type { Json } from '../file/encode.ts';
import type { Channel } from '../terminal.ts';
import type { StructuredFormat } from './structured.ts';

/** The chunks are messages of `type`. Writes their revision, if they have one, then their list `name`, then the rest. */
export async function writeList(
  channel: Channel,
  format: StructuredFormat,
  type: string,
  name: string,
  chunks: AsyncIterable<object> | Iterable<object>,
): Promise<void> {
  const [{ encodeMessage }, { messageType }, { ListWriter }] = await Promise.all([
    import('../file/encode.ts'),
    import('../file/schema.ts'),
    import('./structured.ts'),
  ]);
  const answer = messageType(type);
  const list = new ListWriter(channel, format, name);
  let begun = false;
  const tail: Record<string, Json> = {};
  for await (const chunk of chunks) {
    // A revision of 0 is left out of protobuf JSON, and is one all the same.
    const { revision = '0', [name]: items, ...rest } = encodeMessage(answer, chunk);
    if (!begun) list.begin(answer.field('revision') === undefined ? {} : { revision });
    begun = true;
    await list.write(listOf(items));
    for (const [key, value] of Object.entries(rest)) {
      tail[key] = Array.isArray(value) ? [...listOf(tail[key]), ...value] : value;
    }
  }
  if (!begun) list.begin({});
  await list.end(tail);
}

/** An empty list is left out of protobuf JSON. */
function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}
