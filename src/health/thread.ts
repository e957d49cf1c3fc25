// The thread that probes.
import { parentPort } from 'node:worker_threads';
import type { Message, Order } from './checks.ts';
import { Monitor } from './monitor.ts';

const port = parentPort;
if (port === null) throw new Error('this is a program for a thread');

const send = (message: Message): void => port.postMessage(message);
const monitor = new Monitor({
  changed: (changes) => send({ kind: 'changes', changes }),
  report: (report) => send({ kind: 'report', report }),
});
port.on('message', (order: Order) => monitor.assign(order));
