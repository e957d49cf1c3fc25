// A process of its own that loads, pins and attaches, says where, and then waits to be killed.
import { attach } from '../attach.ts';
import { loadProgram } from '../load.ts';
import { openPinDirectory } from '../pin-directory.ts';
import { pinProgram } from '../pinned-programs.ts';

const [object = '', ifindex = '', stopBefore] = process.argv.slice(2);
const directory = openPinDirectory();
const program = await loadProgram({ object, shape: { cells: 8 }, settings: { which: 7, mark: 0x77 } });
new Uint32Array(program.memory('cells').buffer).set([2, 4711], 7 * 4);
pinProgram(directory, program);
if (stopBefore !== 'attach') attach(directory, program, Number(ifindex));
process.stdout.write(directory.path);
setInterval(() => undefined, 1000);
