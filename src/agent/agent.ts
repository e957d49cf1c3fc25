// The daemon: the one place that knows all parts and puts them together.
import { join } from 'node:path';
import { type ListenAddress, ListenFailed, parseListenAddress } from '../api/listen.ts';
import { ApiServer } from '../api/server.ts';
import { DataPlaneUnavailable } from '../dataplane/dataplane.ts';
import { Gateway } from '../gateway/gateway.ts';
import { ThreadedHealthChecks } from '../health/checks.ts';
import { LinuxHost } from '../host/host.ts';
import { SqliteStore } from '../store/sqlite/store.ts';
import { StoreFailed } from '../store/store.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { claimHost } from './claim-host.ts';
import { createDataPlane, type DataPlaneOptions, removeOtherDataPlanes } from './data-plane.ts';
import { notifyServiceManager } from './service-manager.ts';
import { penstockVersion } from './version.ts';

export interface AgentOptions
  extends Pick<DataPlaneOptions, 'dataplane' | 'flowtable' | 'interfaces' | 'flowTableSize' | 'object'> {
  /** Holds `penstock.db`; made when missing. */
  readonly stateDirectory: string;
  /** `unix:/path`, `host:port` or `tcp://host:port`. */
  readonly listen: readonly string[];
  /** Files in PEM; with `clientAuthority` clients must show a certificate that it signed. */
  readonly tls?: {
    readonly certificate: string;
    readonly key: string;
    readonly clientAuthority?: string;
  };
  /** Allows TCP beyond loopback without TLS. */
  readonly insecure: boolean;
  /** Remove everything from the kernel and the host when the agent stops. */
  readonly flushOnExit: boolean;
  readonly logLevel: string;
  readonly logFormat: 'json' | 'pretty';
}

/** How long calls in progress may take to end when the agent stops, in milliseconds. */
const stopGrace = 5_000;

/** Runs until SIGTERM or SIGINT; resolves with the exit status: 0 stopped as asked, 4 could not start. */
export async function runAgent(options: AgentOptions): Promise<number> {
  const logger = createLogger({ level: options.logLevel, format: options.logFormat });
  const asked = stopSignal();
  try {
    await serve(options, logger, asked);
    return 0;
  } catch (error) {
    report(error, logger);
    return 4;
  }
}

async function serve(options: AgentOptions, logger: Logger, asked: Promise<string>): Promise<void> {
  const version = penstockVersion();
  const listen = options.listen.map((text) => listenAddress(text, options));
  const store = new SqliteStore(options.stateDirectory);
  try {
    using _claim = await claimHost();
    // Its own, so that the next start clears away what a killed agent left there.
    const scratchDirectory = join(options.stateDirectory, 'scratch');
    const host = new LinuxHost(store);
    const acceptLocalSources = (interfaces: readonly string[]) => host.acceptLocalSources(interfaces);
    const dataPlane = await createDataPlane({ ...options, scratchDirectory, acceptLocalSources, logger });
    const health = new ThreadedHealthChecks(logger);
    const gateway = await Gateway.open({ store, dataPlane, host, health, logger, version });
    try {
      // Now that nftables has what is stored: what XDP did for an earlier agent, it goes on with.
      if (options.dataplane === 'nftables') {
        for (const removed of await removeOtherDataPlanes()) logger.info(removed);
        await host.acceptLocalSources([]);
      }
      const api = await ApiServer.start({ listen, gateway, logger });
      logger.info({ version, addresses: api.addresses }, 'serving');
      await notifyServiceManager('READY=1');
      const signal = await asked;
      logger.info(
        { signal },
        options.flushOnExit ? 'stopping, and removing everything' : 'stopping; the kernel goes on forwarding',
      );
      await notifyServiceManager('STOPPING=1');
      await api.stop(stopGrace);
    } finally {
      await health.close();
      await gateway.close({ flush: options.flushOnExit });
    }
  } finally {
    await store.close();
  }
}

function listenAddress(text: string, { tls, insecure }: AgentOptions): ListenAddress {
  const address = parseListenAddress(text);
  if (address === undefined) {
    throw new ListenFailed(
      `"${text}" is no address to listen on`,
      'give unix:/path, host:port or tcp://host:port',
    );
  }
  if (address.kind === 'unix') return address;
  if (tls === undefined) return { ...address, insecure };
  const { certificate, key, clientAuthority } = tls;
  const files = {
    cert: certificate,
    key,
    ...(clientAuthority === undefined ? {} : { clientCa: clientAuthority }),
  };
  return { ...address, tls: files };
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    // Not `once`: execa listens too while a child runs, and ends the process where it finds no other listener left.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
  });
}

function report(error: unknown, logger: Logger): void {
  if (error instanceof DataPlaneUnavailable) {
    for (const { code, message, remedy } of error.findings) logger.fatal({ code, remedy }, message);
  } else if (error instanceof StoreFailed || error instanceof ListenFailed) {
    logger.fatal({ remedy: error.remedy }, error.message);
  } else {
    logger.fatal({ err: error }, 'the agent failed');
  }
}
