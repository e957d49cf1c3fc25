// Probes against real machines of every kind, on loopback: what they conclude, and that they end.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type IpAddress, parseAddress } from '../resources/address.ts';
import { attempt } from './attempt.ts';
import type { Outcome } from './outcome.ts';
import type { ProbeTarget } from './target.ts';

const open: Server[] = [];
const sockets = new Set<Socket>();
let directory = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-probe-'));
  const request = ['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=machine', '-newkey', 'ec'];
  const curve = ['-pkeyopt', 'ec_paramgen_curve:prime256v1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')];
  execFileSync('openssl', [...request, ...curve, ...files], { stdio: 'ignore' });
});

afterAll(() => rmSync(directory, { recursive: true }));

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of open.splice(0)) server.close();
});

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  open.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return (server.address() as AddressInfo).port;
}

const http = (answer: RequestListener) => listen(createHttp(answer));
/** A machine that says what it is told to, as soon as it is connected. */
const says = (speak: (socket: Socket) => void) => listen(createServer(speak));

function target(port: number, over: Partial<ProbeTarget> = {}): ProbeTarget {
  return {
    address: parseAddress('127.0.0.1') as IpAddress,
    protocol: 'http',
    port,
    path: '/healthz',
    interval: 5_000,
    timeout: 5_000,
    threshold: 1,
    verifyCertificate: false,
    ...over,
  };
}

function probe(of: ProbeTarget): Promise<Outcome> {
  return new Promise((resolve) => attempt(of, resolve));
}

const failed = (reason: string, detail: unknown) => ({ kind: 'failure', reason, detail });
const unreachable = 'Down_Probe_HttpEndpointUnreachable';

async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  open.splice(open.indexOf(server), 1);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('TCP', () => {
  test('is content with a connection', async () => {
    const port = await says(() => {});
    expect(await probe(target(port, { protocol: 'tcp' }))).toEqual({ kind: 'success' });
  });

  test('over IPv6', async () => {
    const port = await listen(createServer(), '::1');
    const address = parseAddress('::1') as IpAddress;
    expect(await probe(target(port, { protocol: 'tcp', address }))).toEqual({ kind: 'success' });
  });

  test('fails where nobody listens', async () => {
    const outcome = await probe(target(await unusedPort(), { protocol: 'tcp' }));
    expect(outcome).toEqual(failed('Down_Probe_TcpProbeTimeout', 'connection refused'));
  });
});

describe('HTTP', () => {
  test('asks for the path, as somebody whom a log can tell from users, and takes 200', async () => {
    const seen: unknown[] = [];
    const port = await http((request, response) => {
      const { host, connection, 'user-agent': agent } = request.headers;
      seen.push([request.method, request.url, host, connection, agent]);
      response.end('fine');
    });
    expect(await probe(target(port, { path: '/healthz?deep=1' }))).toEqual({ kind: 'success' });
    expect(seen).toEqual([['GET', '/healthz?deep=1', `127.0.0.1:${port}`, 'close', 'Penstock-Probe']]);
  });

  test.each([201, 204, 301, 404, 500, 503])('takes no %i, and follows no redirect', async (status) => {
    let requests = 0;
    const port = await http((_request, response) => {
      requests += 1;
      response.writeHead(status, { location: '/elsewhere' }).end();
    });
    expect(await probe(target(port))).toEqual(failed('Down_Probe_HttpStatusCodeError', `status ${status}`));
    expect(requests).toBe(1);
  });

  test('fails where nobody listens', async () => {
    expect(await probe(target(await unusedPort()))).toEqual(failed(unreachable, 'connection refused'));
  });

  test('fails where the machine hangs up', async () => {
    const port = await says((socket) => socket.resetAndDestroy());
    const outcome = await probe(target(port));
    expect(outcome).toMatchObject({ kind: 'failure', reason: unreachable });
  });

  test.each([
    ['garbage', '\x00\x01\x02garbage\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ])('fails on %s', async (_what, text) => {
    const port = await says((socket) => socket.write(text));
    expect(await probe(target(port))).toEqual(failed(unreachable, expect.stringContaining('not HTTP')));
  });

  test('fails on an answer that is cut short', async () => {
    const port = await says((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab'));
    });
    expect(await probe(target(port))).toMatchObject({ kind: 'failure', reason: unreachable });
  });

  test('fails on a header without end, of which it keeps little', async () => {
    let sent = 0;
    const port = await says((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n');
        const more = (): void => {
          while (!socket.destroyed && socket.writable) {
            sent += 1_000;
            if (!socket.write(`X-Filler: ${'x'.repeat(988)}\r\n`)) break;
          }
        };
        socket.on('drain', more);
        more();
      });
    });
    expect(await probe(target(port))).toEqual(failed(unreachable, 'the header of the answer is too long'));
    expect(sent).toBeLessThan(20_000_000);
  });

  test('has heard enough of a body without end', async () => {
    let sent = 0;
    const port = await http((_request, response) => {
      const more = (): void => {
        let hasRoom: boolean = !response.destroyed;
        while (hasRoom) {
          sent += 10_000;
          hasRoom = response.write('x'.repeat(10_000)) && !response.destroyed;
        }
      };
      response.on('drain', more);
      more();
    });
    expect(await probe(target(port))).toEqual({ kind: 'success' });
    expect(sent).toBeLessThan(20_000_000);
  });

  const waits: readonly { what: string; speak: (socket: Socket) => unknown; lacks: string }[] = [
    { what: 'says nothing', speak: () => {}, lacks: 'no answer' },
    {
      what: 'does not come to an end',
      speak: (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab'),
      lacks: 'no end of the answer',
    },
    {
      what: 'drips a header',
      speak: (socket) => socket.write('HTTP/1.1 200 OK\r\nX-Slow: '),
      lacks: 'no answer',
    },
  ];

  test.each(waits)(
    'waits on where a machine $what, until it is told to give up',
    async ({ speak, lacks }) => {
      let closed = false;
      const port = await says((socket) => {
        socket.on('close', () => {
          closed = true;
        });
        socket.once('data', () => speak(socket));
      });
      const outcomes: Outcome[] = [];
      const running = attempt(target(port), (outcome) => outcomes.push(outcome));
      while (running.lacks !== lacks) await sleep(5);
      await sleep(50);
      expect(outcomes).toEqual([]);
      running.abort();
      while (!closed) await sleep(5);
      expect(outcomes).toEqual([]);
    },
  );
});

describe('HTTPS', () => {
  async function https(): Promise<number> {
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(directory, name)));
    return await listen(createHttps({ key, cert }, (_request, response) => response.end('fine')));
  }

  test('asks nobody who vouches for the machine', async () => {
    expect(await probe(target(await https(), { protocol: 'https' }))).toEqual({ kind: 'success' });
  });

  test('does where it is told to: a certificate that vouches for itself fails', async () => {
    const outcome = await probe(target(await https(), { protocol: 'https', verifyCertificate: true }));
    expect(outcome).toEqual(failed(unreachable, expect.stringContaining('self-signed certificate')));
  });

  test('fails on a machine that speaks no TLS', async () => {
    const port = await says((socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    expect(await probe(target(port, { protocol: 'https' }))).toMatchObject({
      kind: 'failure',
      reason: unreachable,
    });
  });

  test('waits on where the handshake does not come to an end', async () => {
    const port = await says(() => {});
    const running = attempt(target(port, { protocol: 'https' }), () => {});
    while (running.lacks !== 'no end of the TLS handshake') await sleep(5);
    running.abort();
  });
});
