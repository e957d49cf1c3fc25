// Where the API listens: sockets that others left, addresses that need protection, certificates that change.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GatewayClient } from '../wire/client.ts';
import { type ListenAddress, parseListenAddress } from './listen.ts';
import { ApiServer } from './server.ts';
import { FakeGateway } from './testing/fake-gateway.ts';

const run = promisify(execFile);
let directory = '';
let started: ApiServer[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'penstock-listen-'));
});

afterEach(async () => {
  await Promise.all(started.map((api) => api.stop(200)));
  started = [];
  await rm(directory, { recursive: true });
});

async function start(listen: readonly ListenAddress[]): Promise<ApiServer> {
  const logger = pino({ level: 'silent' });
  const api = await ApiServer.start({ listen, gateway: new FakeGateway(), logger, certificateRefresh: 30 });
  started.push(api);
  return api;
}

async function revision(
  address: string,
  tls?: ConstructorParameters<typeof GatewayClient>[1],
): Promise<number> {
  using client = new GatewayClient(address, tls);
  return (await client.getStatus({ timeout: 2_000 })).revision;
}

test('addresses are read in all their forms', () => {
  expect(parseListenAddress('unix:/run/p.sock')).toEqual({ kind: 'unix', path: '/run/p.sock' });
  expect(parseListenAddress('unix:///run/p.sock')).toEqual({ kind: 'unix', path: '/run/p.sock' });
  expect(parseListenAddress('tcp://[::1]:50051')).toEqual({ kind: 'tcp', host: '::1', port: 50_051 });
  expect(parseListenAddress('10.0.0.1:1')).toEqual({ kind: 'tcp', host: '10.0.0.1', port: 1 });
  for (const text of ['', 'unix:', '::1:50051', 'host', 'host:70000', 'http://host:1']) {
    expect(parseListenAddress(text), text).toBeUndefined();
  }
});

test('the socket is for its owner and group, in a directory that keeps others out', async () => {
  const path = join(directory, 'new', 'run', 'penstock.sock');
  const api = await start([{ kind: 'unix', path }]);
  expect(api.addresses).toEqual([`unix:${path}`]);
  expect((await stat(path)).mode & 0o777).toBe(0o660);
  expect((await stat(join(directory, 'new', 'run'))).mode & 0o777).toBe(0o750);
  await api.stop(100);
  await expect(stat(path)).rejects.toThrow('ENOENT');
});

test('a stale socket is replaced, a live one and anything else is left alone', async () => {
  const stale = join(directory, 'stale.sock');
  // A process that is killed cannot remove its socket.
  await run(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ]).catch(() => {});
  expect((await stat(stale)).isSocket()).toBe(true);
  await start([{ kind: 'unix', path: stale }]);
  expect(await revision(`unix:${stale}`)).toBe(0);
  await expect(start([{ kind: 'unix', path: stale }])).rejects.toThrow(`another process listens on ${stale}`);
  const file = join(directory, 'file');
  await writeFile(file, 'precious');
  await expect(start([{ kind: 'unix', path: file }])).rejects.toThrow('is not a socket');
  expect(await readFile(file, 'utf8')).toBe('precious');
  expect(await revision(`unix:${stale}`)).toBe(0);
});

test('several addresses at once; when one of them fails, none is left', async () => {
  const path = join(directory, 'p.sock');
  const api = await start([
    { kind: 'unix', path },
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
  ]);
  for (const address of api.addresses) expect(await revision(address)).toBe(0);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const taken = other.address();
  if (taken === null || typeof taken === 'string') throw new Error('no port');
  const second = join(directory, 'q.sock');
  const failing = start([
    { kind: 'unix', path: second },
    { kind: 'tcp', host: '127.0.0.1', port: taken.port },
  ]);
  await expect(failing).rejects.toThrow(`cannot listen on 127.0.0.1:${taken.port}`);
  await expect.poll(() => stat(second).catch(() => undefined)).toBeUndefined();
  other.close();
});

test('what other hosts can reach needs TLS, or a plain word', async () => {
  await expect(start([{ kind: 'tcp', host: '0.0.0.0', port: 0 }])).rejects.toThrow('has no TLS');
  await expect(start([{ kind: 'tcp', host: '::', port: 0 }])).rejects.toThrow('has no TLS');
  const api = await start([{ kind: 'tcp', host: '0.0.0.0', port: 0, insecure: true }]);
  expect(await revision(`127.0.0.1:${api.addresses[0]?.split(':').at(-1)}`)).toBe(0);
});

test('TLS: strangers are refused, and a new certificate is served without a restart', async () => {
  await makeCertificate('ca');
  await makeCertificate('server', 'ca');
  await makeCertificate('client', 'ca');
  await makeCertificate('stranger');
  const tls = { cert: file('server.crt'), key: file('server.key'), clientCa: file('ca.crt') };
  const [address = ''] = (await start([{ kind: 'tcp', host: '127.0.0.1', port: 0, tls }])).addresses;
  const ca = await readFile(file('ca.crt'));
  const client = { cert: await readFile(file('client.crt')), key: await readFile(file('client.key')) };
  const stranger = { cert: await readFile(file('stranger.crt')), key: await readFile(file('stranger.key')) };
  expect(await revision(address, { tls: { ca, ...client } })).toBe(0);
  await expect(revision(address, { tls: { ca } })).rejects.toMatchObject({ codeName: 'UNAVAILABLE' });
  await expect(revision(address, { tls: { ca, ...stranger } })).rejects.toMatchObject({
    codeName: 'UNAVAILABLE',
  });
  await expect(revision(address)).rejects.toThrow();

  const before = await serialNumber(address);
  // In the middle of a rotation certificate and key do not belong together: the last pair stays.
  await writeFile(file('server.key'), stranger.key);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await revision(address, { tls: { ca, ...client } })).toBe(0);
  await makeCertificate('server', 'ca');
  await expect.poll(() => serialNumber(address)).not.toBe(before);
  expect(await revision(address, { tls: { ca, ...client } })).toBe(0);
});

test('a certificate that cannot be served is refused at the start', async () => {
  const tls = { cert: file('none.crt'), key: file('none.key') };
  await expect(start([{ kind: 'tcp', host: '127.0.0.1', port: 0, tls }])).rejects.toThrow(
    'certificate cannot be used',
  );
});

function file(name: string): string {
  return join(directory, name);
}

async function makeCertificate(name: string, issuer?: string): Promise<void> {
  const sign = issuer === undefined ? [] : ['-CA', file(`${issuer}.crt`), '-CAkey', file(`${issuer}.key`)];
  const key = file(`${name}.key`);
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const options = [
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
  ];
  await run('openssl', ['req', ...options, ...subject, '-keyout', key, '-out', file(`${name}.crt`), ...sign]);
}

function serialNumber(address: string): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      },
    );
    socket.on('error', reject);
  });
}
