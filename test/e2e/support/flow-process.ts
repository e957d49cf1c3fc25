// Runs in a node's namespace: TCP connections that stay open, and UDP senders that never pause.
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { createConnection, type Socket } from 'node:net';
import { slowness } from '../../slowness.ts';

export type FlowOrder =
  | { readonly kind: 'open'; readonly id: string; readonly address: string; readonly port: number }
  | { readonly kind: 'ask'; readonly id: string; readonly patience: number }
  | {
      readonly kind: 'send';
      readonly id: string;
      readonly address: string;
      readonly port: number;
      readonly interval: number;
    }
  | { readonly kind: 'tally'; readonly id: string }
  | { readonly kind: 'fate'; readonly id: string };

/** For a sender: the machine that answered each datagram, null where none did. */
export type FlowAnswer = { readonly text: string } | { readonly answers: readonly (string | null)[] };

interface Sender {
  readonly socket: Datagrams;
  readonly answers: (string | null)[];
}

const connections = new Map<string, Socket>();
const senders = new Map<string, Sender>();
/** How connections have ended that nobody here has ended. */
const fates = new Map<string, 'closed' | 'reset'>();

async function open(id: string, address: string, port: number): Promise<FlowAnswer> {
  const socket = createConnection({ host: address, port });
  const { promise, resolve } = Promise.withResolvers<FlowAnswer>();
  socket.once('connect', () => resolve({ text: 'connected' }));
  socket.once('error', (error) => resolve({ text: error.message }));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') fates.set(id, 'reset');
  });
  socket.on('close', () => fates.set(id, fates.get(id) ?? 'closed'));
  socket.setTimeout(5_000 * slowness, () => resolve({ text: 'timeout' }));
  connections.set(id, socket);
  return await promise;
}

/** The machine that answers one more request on the connection; else why none does. */
async function ask(id: string, patience: number): Promise<FlowAnswer> {
  const socket = connections.get(id);
  if (socket === undefined) return { text: 'unknown' };
  const { promise, resolve } = Promise.withResolvers<FlowAnswer>();
  const timer = setTimeout(() => resolve({ text: 'silence' }), patience);
  let text = '';
  const read = (chunk: Buffer): void => {
    text += chunk.toString();
    const machine = /"machine": "(?<name>[^"]+)"/.exec(text)?.groups?.name;
    if (machine !== undefined && text.endsWith('}\n')) resolve({ text: machine });
  };
  const close = (): void => resolve({ text: 'closed' });
  socket.on('data', read);
  socket.once('close', close);
  if (socket.destroyed) close();
  else socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.off('data', read);
    socket.off('close', close);
  }
}

async function send(id: string, address: string, port: number, interval: number): Promise<FlowAnswer> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const answers: (string | null)[] = [];
  // An ICMP error is no reason to pause.
  socket.on('error', () => {});
  socket.on('message', (message) => {
    const { machine, payload }: { machine: string; payload: string } = JSON.parse(message.toString());
    answers[Number(payload)] = machine;
  });
  await new Promise<void>((resolve) => socket.connect(port, address, resolve));
  setInterval(() => {
    socket.send(String(answers.length), () => {});
    answers.push(null);
  }, interval);
  senders.set(id, { socket, answers });
  return { text: 'sending' };
}

async function obey(order: FlowOrder): Promise<FlowAnswer> {
  switch (order.kind) {
    case 'open':
      return await open(order.id, order.address, order.port);
    case 'ask':
      return await ask(order.id, order.patience);
    case 'send':
      return await send(order.id, order.address, order.port, order.interval);
    case 'fate':
      return { text: fates.get(order.id) ?? 'open' };
    case 'tally':
      return { answers: senders.get(order.id)?.answers ?? [] };
  }
}

process.on('message', (message) => {
  const { call, order } = message as { readonly call: number; readonly order: FlowOrder };
  void obey(order).then((answer) => process.send?.({ call, answer }));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
