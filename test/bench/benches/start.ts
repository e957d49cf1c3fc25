// How soon a restarted agent answers when the kernel runs all of its mappings already.
import type { Bench } from '../bench.ts';
import { chunksOf, tenants } from '../declaration.ts';
import { figure, median, shown } from '../figures.ts';
import { BenchGateway } from '../gateway.ts';

export const start: Bench = {
  name: 'start',
  summary: 'seconds from the start of the agent to its first answer, 100,000 mappings in the kernel',
  run: async (context) => {
    const mappings = context.quick ? 2_000 : 100_000;
    const gateway = await BenchGateway.up(context, 'start');
    await gateway.client.replaceAll(chunksOf(tenants(mappings)));
    const runs: number[] = [];
    for (let run = 1; run <= 3; run += 1) {
      await gateway.lab.stopAgent();
      const before = (await gateway.log()).length;
      const { milliseconds, status } = await gateway.timeStart();
      const log = (await gateway.log()).slice(before);
      if (Number(status.portMappings) !== mappings) {
        throw new Error(`The agent came back with ${status.portMappings} of ${mappings} mappings.`);
      }
      if (!log.includes('nothing to do') || log.includes('loaded the stored revision')) {
        throw new Error(`The agent changed the kernel at its start:\n${log}`);
      }
      runs.push(milliseconds / 1000);
      context.note(`run ${run}: ${shown(milliseconds / 1000)} s`);
    }
    return [
      figure(`start to first answer, ${shown(mappings)} mappings`, median(runs), 's', {
        target: { atMost: 3 },
        note: `${runs.length} runs: ${runs.map(shown).join(', ')}; nothing loaded`,
      }),
    ];
  },
};
