// An agent with another build of the XDP program: the object's path, then the command line of `penstock agent`.
import { parseArgs } from 'node:util';
import { runAgent } from '../../../src/agent/agent.ts';
import { objectAt } from '../../../src/dataplane/xdp/object.ts';

const [path = '', ...args] = process.argv.slice(2);
const { values } = parseArgs({
  args,
  options: {
    'state-directory': { type: 'string', default: '' },
    listen: { type: 'string', multiple: true, default: [] },
    dataplane: { type: 'string' },
  },
});
process.exitCode = await runAgent({
  dataplane: 'xdp',
  interfaces: 'auto',
  flowtable: 'off',
  flowTableSize: 262_144,
  object: objectAt(path),
  stateDirectory: values['state-directory'],
  listen: values.listen,
  insecure: false,
  flushOnExit: false,
  logLevel: 'info',
  logFormat: 'json',
});
