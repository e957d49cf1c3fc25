// Whether anybody notices a thousand changes and ten crashes of the agent: the requests lost or led astray meanwhile.
import type { Bench } from '../bench.ts';
import { figure } from '../figures.ts';
import { steadyLoad as run } from '../steady-load/scenario.ts';

export const steadyLoad: Bench = {
  name: 'steady-load',
  summary: 'requests lost or led astray during 1,000 changes and ten kill -9 of the agent',
  run: async (context) => {
    const [changes, kills] = context.quick ? [60, 2] : [1_000, 10];
    const lab = await context.lab('steady', { backends: 4 });
    const { tally, changesPerSecond, warnings } = await run(lab, {
      changes,
      kills,
      agentArguments: ['--state-directory', await context.directory()],
    });
    for (const complaint of tally.complaints) context.note(complaint);
    const none = { target: { atMost: 0 }, note: `${changes} changes, ${kills} kills` };
    return [
      figure('requests answered rightly', tally.right, ''),
      figure('requests lost', tally.lost, '', none),
      figure('requests answered wrongly', tally.wrong, '', none),
      figure('changes per second, one after the other', changesPerSecond, ''),
      figure('warnings of the agent', warnings.length, '', {
        target: { atMost: 0 },
        note: warnings.join(', '),
      }),
    ];
  },
};
