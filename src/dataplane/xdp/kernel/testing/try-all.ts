// A process of its own that does what an agent does at its start, and prints the findings if it may not.
import { DataPlaneUnavailable } from '../../../dataplane.ts';
import { loadProgram } from '../load.ts';
import { openPinDirectory } from '../pin-directory.ts';
import { removeAll } from '../remove-all.ts';

const [object = '', order = 'pin,load'] = process.argv.slice(2);
try {
  for (const step of order.split(',')) {
    if (step === 'pin') removeAll(openPinDirectory());
    else (await loadProgram({ object, shape: {}, settings: {} })).close();
  }
  process.stdout.write('[]');
} catch (error) {
  if (!(error instanceof DataPlaneUnavailable)) throw error;
  process.stdout.write(JSON.stringify(error.findings));
}
