// Where the API listens, and what has to be in order before it does.
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, resolve } from 'node:path';

/** An address to listen on. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      /** An IP address, or a name of this host. */
      readonly host: string;
      /** 0: any free one. */
      readonly port: number;
      readonly tls?: TlsFiles;
      /** Serve without TLS although others than this host can connect. */
      readonly insecure?: boolean;
    };

/** PEM files. They are read again when they change. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Authorities; when present, only clients with a certificate from one of them are served. */
  readonly clientCa?: string;
}

/** The API cannot listen as it was told to. */
export class ListenFailed extends Error {
  override readonly name = 'ListenFailed';
  readonly remedy: string;

  constructor(message: string, remedy: string, cause?: unknown) {
    super(message, { cause });
    this.remedy = remedy;
  }
}

/** Reads `unix:/path`, `host:port` or `tcp://host:port`; `undefined` for anything else. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const path = /^unix:(?:\/\/(?=\/))?(?<path>.+)$/.exec(text)?.groups?.path;
  if (path !== undefined) return { kind: 'unix', path };
  const tcp = /^(?:tcp:\/\/)?(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^\s:/[\]]+)):(?<port>\d{1,5})$/.exec(
    text,
  )?.groups;
  const host = tcp?.v6 ?? tcp?.host;
  const port = Number(tcp?.port);
  return host !== undefined && port <= 65_535 ? { kind: 'tcp', host, port } : undefined;
}

/** The same in text, as clients give it. */
export function listenAddressText(address: ListenAddress): string {
  switch (address.kind) {
    case 'unix':
      return `unix:${address.path}`;
    case 'tcp':
      return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  }
}

/** Throws unless the address is reachable from this host only, or protected, or meant to be open. */
export function requireProtection(address: ListenAddress): void {
  if (address.kind === 'unix' || address.tls !== undefined || address.insecure === true) return;
  if (isLoopback(address.host)) return;
  throw new ListenFailed(
    `${listenAddressText(address)} can be reached from other hosts and has no TLS`,
    'give a certificate and key (and a client CA, so that not everybody is served), listen on 127.0.0.1, or say insecure',
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Makes the directory where it is missing, and removes what an agent that died has left. */
export async function prepareSocket(path: string): Promise<void> {
  const directory = dirname(path);
  try {
    await makeDirectory(resolve(directory));
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) return;
    if (!found.isSocket()) {
      throw new ListenFailed(`${path} exists and is not a socket`, `move it away, or give another path`);
    }
    if (await answers(path)) {
      throw new ListenFailed(
        `another process listens on ${path}`,
        'stop the agent that runs already, or give another path',
      );
    }
    await unlink(path);
  } catch (error) {
    if (error instanceof ListenFailed) throw error;
    throw new ListenFailed(
      `cannot make the socket ${path}: ${error instanceof Error ? error.message : error}`,
      `check that the agent may write to ${directory}`,
      error,
    );
  }
}

/** Not by mkdir's `recursive`: that never returns on a file system which answers ENOENT to every mkdir, such as /proc. */
async function makeDirectory(directory: string): Promise<void> {
  if (existsSync(directory)) return;
  await makeDirectory(dirname(directory));
  await mkdir(directory);
  await chmod(directory, 0o750);
}

/** Lets the owner and the group connect; until then the directory keeps others out. */
export async function openSocketToGroup(path: string): Promise<void> {
  await chmod(path, 0o660);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // ECONNREFUSED: nobody has it open. Anything else (such as EACCES or EAGAIN) may be somebody.
    socket.once('error', (error) => resolve(!('code' in error) || error.code !== 'ECONNREFUSED'));
  });
}
