// Sends one request and waits for what becomes of it.
import { createSocket } from 'node:dgram';
import { type Agent, request as http, type RequestOptions } from 'node:http';
import { request as https } from 'node:https';
import { slowness } from '../../slowness.ts';
import type { Answer, Outcome, Request } from './message.ts';

const patience = 5_000;

/** Never rejects: whatever goes wrong is an outcome. Without an agent, the connection is this request's alone. */
export async function send(request: Request, agent?: Agent): Promise<Outcome> {
  const begin = performance.now();
  const milliseconds = (): number => Math.round((performance.now() - begin) * 1000) / 1000;
  try {
    const [status, body] = request.scheme === 'udp' ? await datagram(request) : await page(request, agent);
    return { answer: JSON.parse(body) as Answer, status, milliseconds: milliseconds() };
  } catch (error) {
    return { lost: error instanceof Error ? error.message : String(error), milliseconds: milliseconds() };
  }
}

function page(request: Request, agent: Agent | undefined): Promise<readonly [number, string]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly [number, string]>();
  const options: RequestOptions & { rejectUnauthorized: boolean } = {
    host: request.address,
    port: request.port,
    path: request.path ?? '/',
    agent: agent ?? false,
    rejectUnauthorized: false,
    // A timer of the whole exchange; the socket's own would only see silence.
    signal: AbortSignal.timeout((request.timeout ?? patience) * slowness),
  };
  if (request.localPort !== undefined) options.localPort = request.localPort;
  const exchange = (request.scheme === 'https' ? https : http)(options, (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      body += chunk;
    });
    response.on('end', () => resolve([response.statusCode ?? 0, body]));
    response.on('error', reject);
  });
  exchange.on('error', (error) =>
    reject(error.name === 'AbortError' || error.name === 'TimeoutError' ? new Error('timeout') : error),
  );
  exchange.end();
  return promise;
}

async function datagram(request: Request): Promise<readonly [number, string]> {
  const socket = createSocket(request.address.includes(':') ? 'udp6' : 'udp4');
  const { promise, resolve, reject } = Promise.withResolvers<readonly [number, string]>();
  const timer = setTimeout(() => reject(new Error('timeout')), (request.timeout ?? patience) * slowness);
  socket.on('error', reject);
  socket.on('message', (message) => resolve([200, message.toString()]));
  if (request.localPort !== undefined) socket.bind(request.localPort);
  // Connected, so that an ICMP error is heard and an answer from another address is not.
  socket.connect(request.port, request.address, () => {
    socket.send(Buffer.alloc(request.payloadBytes ?? 16, 'p'));
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}
