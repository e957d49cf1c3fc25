// Nobody who uses a mapping notices that others change, or that the agent dies: a short form of the bench of that name.
import { afterEach, describe, expect, it } from 'vitest';
import { steadyLoad } from '../bench/steady-load/scenario.ts';
import { Lab } from '../lab/lab.ts';
import { upLab } from './support/lab.ts';

const name = `steady-test-${process.pid}`;

afterEach(async () => {
  await Lab.remove(name);
});

describe('a steady load through mappings that nobody changes', () => {
  it('loses nothing and reaches nobody else during 200 changes and three kills of the agent', async () => {
    await using lab = await upLab({ name, backends: 4 });
    const { tally, warnings } = await steadyLoad(lab, { changes: 200, kills: 3 });
    expect(tally.complaints).toEqual([]);
    expect(tally).toMatchObject({ lost: 0, wrong: 0 });
    expect(tally.right).toBeGreaterThan(400);
    // Every stream was heard of: the figures above are not those of a load that never ran.
    expect(tally.byStream.size).toBe(13);
    expect(warnings).toEqual([]);
  });
});
