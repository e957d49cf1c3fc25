import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Session, startSession } from './session.ts';

/** Stands for nft: obeys a word in the command. */
const fake = `
import { createInterface } from 'node:readline';
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'describe meta mark') console.log('meta expression, datatype mark (packet mark) (basetype integer), 32 bits');
  else if (line.includes('refuse')) console.log('internal:0:0-0: Error: Could not process rule: File exists\\n');
  else if (line.includes('die')) process.exit(1);
  else if (line.includes('hang')) await new Promise((resolve) => setTimeout(resolve, 60_000));
  else if (line.includes('pid')) console.log(process.pid);
}
`;

let directory: string;
let session: Session;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'penstock-test-'));
  await writeFile(join(directory, 'fake.mjs'), fake);
  session = startSession({
    limit: 2000,
    command: [process.execPath, join(directory, 'fake.mjs')],
  });
});
afterEach(async () => {
  await session.close();
  await rm(directory, { recursive: true });
});

/** The fake's process: its number comes as if it were an error. */
async function pid(): Promise<string> {
  const outcome = await session.run('"pid"');
  return outcome.kind === 'refused' ? outcome.log : '';
}

describe('a session', () => {
  it('keeps one program for many commands', async () => {
    expect(await session.run('')).toEqual({ kind: 'done' });
    const first = await pid();
    expect(await session.run('')).toEqual({ kind: 'done' });
    expect(await pid()).toBe(first);
  });

  it('tells a refusal from what comes after', async () => {
    expect(await session.run('"refuse"')).toEqual({
      kind: 'refused',
      log: 'internal:0:0-0: Error: Could not process rule: File exists',
    });
    expect(await session.run('')).toEqual({ kind: 'done' });
  });

  it('has a file read, and hears when that is refused', async () => {
    expect(await session.runFile('/scratch/accepted.nft')).toEqual({ kind: 'done' });
    expect(await session.runFile('/scratch/refused.nft')).toMatchObject({ kind: 'refused' });
  });

  it.each(['die', 'hang'])(
    'does not know what became of a command when the program does %s, and starts anew',
    async (word) => {
      const first = await pid();
      expect(await session.run(`"${word}"`)).toMatchObject({ kind: 'unknown' });
      expect(await session.run('')).toEqual({ kind: 'done' });
      expect(await pid()).not.toBe(first);
    },
  );

  it('does not know either when the program cannot be started', async () => {
    const none = startSession({ command: ['/nonexistent'] });
    expect(await none.run('')).toMatchObject({ kind: 'unknown' });
    await none.close();
  });

  it('changes the program after 2,000 commands', async () => {
    const first = await pid();
    for (let count = 1; count < 2000; count += 1) await session.run('');
    expect(await pid()).not.toBe(first);
  });
});
