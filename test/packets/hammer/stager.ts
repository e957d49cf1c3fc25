// An agent that changes pairs without a pause, until it is killed: run by `hammer.kernel.test.ts` as a process of its own.
// Its maps come as descriptors from 3 on, in the order of `mapNames`.

import { table } from '../../../src/dataplane/nftables/testing/tables.ts';
import { gracePeriod } from '../../../src/dataplane/xdp/kernel/grace.ts';
import { programOf } from '../../../src/dataplane/xdp/kernel/program.ts';
import { Image } from '../../../src/dataplane/xdp/memory/image.ts';
import { mapNames } from '../../../src/dataplane/xdp/memory/map-memory.ts';
import { Random } from '../fuzz/random.ts';
import { memoryOf } from '../world/tables.ts';
import { Pairs } from './pairs.ts';

const [seed = '0', shards = '2'] = process.argv.slice(2);
const program = await programOf({
  programs: new Map(),
  maps: new Map(mapNames.map((name, index) => [name, index + 3])),
});
const image = await Image.attach(memoryOf(program), { shards: Number(shards), gracePeriod });
const pairs = new Pairs(new Random(Number(seed)));
pairs.change(200);
await image.reconcile(table(pairs.entries(), pairs.rings()));
image.publish({ instance: '00000000000000d1', revision: 1, sequence: 1 });
process.stdout.write('changing\n');
for (let revision = 2; ; revision += 1) {
  await image.stage(pairs.change(120));
  image.publish({ instance: '00000000000000d1', revision, sequence: revision });
}
