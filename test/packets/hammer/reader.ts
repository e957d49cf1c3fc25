// A thread that looks at pairs without a pause, as packets on one processor would.
import { workerData } from 'node:worker_threads';
import { testRun } from '../../../src/dataplane/xdp/kernel/test-run.ts';

export interface ReaderTask {
  /** Descriptor of the looking program. */
  readonly file: number;
  /** One word; not 0: enough. */
  readonly stop: SharedArrayBuffer;
}

const { file, stop } = workerData as ReaderTask;
const word = new Int32Array(stop);
const frame = new Uint8Array(64);
while (Atomics.load(word, 0) === 0) {
  // All runs of one call may be one reader to RCU: a few milliseconds, so that grace periods come to an end.
  const { verdict } = testRun(file, { frame, repeat: 300 });
  if (verdict !== 'XDP_PASS') throw new Error(`the looking program gives ${verdict}`);
}
