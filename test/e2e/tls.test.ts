// The API over TCP: only with TLS beyond loopback, and with a client authority only for clients that it signed.
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { penstock } from '../lab/agent.ts';
import { Lab } from '../lab/lab.ts';
import { slowness } from '../slowness.ts';

const address = 'tcp://198.51.100.1:7443';
let lab: Lab;

const file = (name: string) => join(lab.directory, name);

/** A key and a certificate: signed by itself, or by an authority made before. */
async function certificate(name: string, subject: string, authority?: string): Promise<void> {
  const signer =
    authority === undefined ? [] : ['-CA', file(`${authority}.pem`), '-CAkey', file(`${authority}.key`)];
  await execa('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
    ...['-subj', `/CN=${subject}`, '-addext', 'subjectAltName=IP:198.51.100.1', ...signer],
    ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)],
  ]);
}

async function ask(...args: readonly string[]) {
  return await lab.exec(
    'client',
    [penstock, '--address', address, '--timeout', `${5 * slowness}s`, ...args, 'status'],
    {
      reject: false,
    },
  );
}

beforeAll(async () => {
  lab = await Lab.up({ name: 'e2e-tls', backends: 0 });
  await certificate('authority', 'authority');
  await certificate('agent', 'agent', 'authority');
  await certificate('operator', 'operator', 'authority');
  await certificate('stranger', 'stranger');
  const tls = [
    '--tls-cert',
    file('agent.pem'),
    '--tls-key',
    file('agent.key'),
    '--tls-client-ca',
    file('authority.pem'),
  ];
  await lab.startAgent({ arguments: ['--listen', address, ...tls] });
});

afterAll(async () => {
  await lab?.down();
});

it('serves a client that shows a certificate of the authority', async () => {
  const operator = ['--client-cert', file('operator.pem'), '--client-key', file('operator.key')];
  const { stdout, exitCode } = await ask('--ca-cert', file('authority.pem'), ...operator);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('nftables');
});

it('turns away everybody else', async () => {
  const stranger = ['--client-cert', file('stranger.pem'), '--client-key', file('stranger.key')];
  expect((await ask('--ca-cert', file('authority.pem'))).exitCode).toBe(3);
  expect((await ask('--ca-cert', file('authority.pem'), ...stranger)).exitCode).toBe(3);
  expect((await ask()).exitCode).toBe(3);
});

it('does not talk to an agent that its authority did not sign', async () => {
  const operator = ['--client-cert', file('operator.pem'), '--client-key', file('operator.key')];
  expect((await ask('--ca-cert', file('stranger.pem'), ...operator)).exitCode).toBe(3);
});

it('is refused without TLS where others can reach it', async () => {
  const state = join(lab.directory, 'other');
  const agent = await lab.exec(
    'gateway',
    [penstock, 'agent', '--state-directory', state, '--listen', 'tcp://198.51.100.1:7444'],
    { reject: false, timeout: 20_000 },
  );
  expect(agent.exitCode).toBe(2);
  expect(agent.stderr).toMatch(/--tls-cert|--insecure/);
});
