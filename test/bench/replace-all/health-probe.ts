// Runs as a process of its own: asks a gateway for its health every 10 ms, until it is told to stop, and then says how
// long the slowest answer took and how long the usual one. Arguments: address.
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { median } from '../figures.ts';

const interval = 10;
const client = new Client(process.argv[2] ?? '', credentials.createInsecure());
const times: number[] = [];
let underWay = 0;

function check(): void {
  const begin = performance.now();
  underWay += 1;
  // A request and an answer of which only the time matters; an empty request asks for the whole server.
  const bytes = (value: Buffer): Buffer => value;
  client.makeUnaryRequest(
    '/grpc.health.v1.Health/Check',
    bytes,
    bytes,
    Buffer.alloc(0),
    new Metadata(),
    {},
    (error) => {
      underWay -= 1;
      if (error !== null) throw error;
      times.push(performance.now() - begin);
    },
  );
}

const timer = setInterval(check, interval);
process.on('message', () => {
  clearInterval(timer);
  const end = setInterval(() => {
    if (underWay > 0) return;
    clearInterval(end);
    process.send?.({ usual: median(times), longest: Math.max(...times), checks: times.length });
    process.disconnect();
    client.close();
  }, interval);
});
