// Runs in the gateway's namespace: one server that stands for all machines, on every address of 127.0.0.0/8.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const answer: RequestListener = (_request, response) => response.end('fine\n');

function certificate() {
  const directory = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const request = ['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=machine', '-newkey', 'ec'];
  const files = ['-pkeyopt', 'ec_paramgen_curve:prime256v1', '-keyout', key, '-out', cert];
  execFileSync('openssl', [...request, ...files], { stdio: 'ignore' });
  const pair = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(directory, { recursive: true });
  return pair;
}

createServer(answer).listen({ port: 80, host: '0.0.0.0', backlog: 8_192 });
createTlsServer(certificate(), answer).listen({ port: 443, host: '0.0.0.0', backlog: 8_192 }, () =>
  process.send?.('ready'),
);
process.on('disconnect', () => process.exit(0));
