import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UntilMark } from './stream.ts';

/** What comes out when these bytes come in, cut into pieces of such sizes. */
async function pass(bytes: Buffer, sizes: readonly number[]): Promise<{ out: Buffer; stream: UntilMark }> {
  const stream = new UntilMark('word');
  const out = buffer(stream);
  let rest = bytes;
  for (const size of sizes) {
    stream.write(rest.subarray(0, size));
    rest = rest.subarray(size);
  }
  stream.end(rest);
  return { out: await out, stream };
}

it('passes on what stands before the mark and tells the status, however the bytes are cut', async () => {
  const likeAMark = fc.constantFrom('\0', 'w', '\0wor', '\0word', 'word 3\n', '\n', 'x');
  const texts = fc.array(likeAMark, { maxLength: 12 }).map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(
      texts,
      fc.nat(255),
      fc.array(fc.integer({ min: 1, max: 6 })),
      async (text, status, sizes) => {
        fc.pre(!text.includes('\0word '));
        const { out, stream } = await pass(Buffer.from(`${text}\0word ${status}\nlater`), sizes);
        expect(out.toString()).toBe(text);
        expect(await stream.status).toBe(status);
      },
    ),
  );
});

it('passes on everything when no mark comes', async () => {
  const { out } = await pass(Buffer.from('a\0wor'), [1, 2]);
  expect(out.toString()).toBe('a\0wor');
});

it('does not hold back what cannot be a mark', async () => {
  const stream = new UntilMark('word');
  stream.write('prompt> \0wo');
  expect(String(stream.read())).toBe('prompt> ');
  stream.write('ld');
  expect(String(stream.read())).toBe('\0wold');
});
