// TLS for the API, with certificates that are read again when their files change; the only user of grpc-js' experimental part.
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { ListenFailed, type TlsFiles } from './listen.ts';

/** Milliseconds between two looks at the files. */
const defaultRefresh = 10_000;

interface Pems {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | undefined;
}

/** Reads the files once and refuses what cannot be served. The files are watched for as long as a server listens. */
export async function tlsCredentials(
  files: TlsFiles,
  logger: Logger,
  refresh = defaultRefresh,
): Promise<ServerCredentials> {
  const pems = await read(files).catch((error: unknown) => {
    throw new ListenFailed(
      `the certificate cannot be used: ${error instanceof Error ? error.message : error}`,
      `check ${Object.values(files).join(', ')}`,
      error,
    );
  });
  const provider = new CertificateFiles(files, pems, logger, refresh);
  // The declaration names the two providers in the wrong order.
  return experimental.createCertificateProviderServerCredentials(
    provider,
    files.clientCa === undefined ? null : provider,
    files.clientCa !== undefined,
  );
}

async function read({ cert, key, clientCa }: TlsFiles): Promise<Pems> {
  const [certPem, keyPem, clientCaPem] = await Promise.all([
    readFile(cert),
    readFile(key),
    clientCa === undefined ? undefined : readFile(clientCa),
  ]);
  // Throws where certificate and key do not belong together, as in the middle of a rotation.
  createSecureContext({ cert: certPem, key: keyPem, ...(clientCaPem && { ca: clientCaPem }) });
  return { cert: certPem, key: keyPem, clientCa: clientCaPem };
}

type IdentityListener = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0];
type CaListener = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0];

/** grpc-js' own file watcher refuses all connections while the files are not in order; this keeps the last good ones. */
class CertificateFiles implements experimental.CertificateProvider {
  readonly #files: TlsFiles;
  readonly #logger: Logger;
  readonly #refresh: number;
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #caListeners = new Set<CaListener>();
  #pems: Pems;
  #timer: NodeJS.Timeout | undefined;
  #lastFault = '';

  constructor(files: TlsFiles, pems: Pems, logger: Logger, refresh: number) {
    this.#files = files;
    this.#pems = pems;
    this.#logger = logger;
    this.#refresh = refresh;
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    this.#watch();
    process.nextTick(() => listener(this.#identity()));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
    this.#watch();
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    this.#watch();
    process.nextTick(() => listener(this.#ca()));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
    this.#watch();
  }

  #watch(): void {
    const wanted = this.#identityListeners.size + this.#caListeners.size > 0;
    if (wanted && this.#timer === undefined) {
      this.#timer = setInterval(() => this.#reload(), this.#refresh).unref();
    } else if (!wanted) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #reload(): void {
    read(this.#files).then(
      (pems) => {
        this.#lastFault = '';
        if (same(pems, this.#pems)) return;
        this.#pems = pems;
        for (const listener of this.#identityListeners) listener(this.#identity());
        for (const listener of this.#caListeners) listener(this.#ca());
        this.#logger.info({ cert: this.#files.cert }, 'certificate reloaded');
      },
      (error: unknown) => {
        const fault = error instanceof Error ? error.message : String(error);
        if (fault === this.#lastFault) return;
        this.#lastFault = fault;
        this.#logger.warn({ cert: this.#files.cert, fault }, 'certificate not reloaded, the last one stays');
      },
    );
  }

  #identity(): { readonly certificate: Buffer; readonly privateKey: Buffer } {
    return { certificate: this.#pems.cert, privateKey: this.#pems.key };
  }

  #ca(): { readonly caCertificate: Buffer } | null {
    return this.#pems.clientCa === undefined ? null : { caCertificate: this.#pems.clientCa };
  }
}

function same(a: Pems, b: Pems): boolean {
  const sameCa =
    a.clientCa === undefined ? b.clientCa === undefined : b.clientCa?.equals(a.clientCa) === true;
  return a.cert.equals(b.cert) && a.key.equals(b.key) && sameCa;
}
