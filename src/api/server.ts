// The gRPC server: listens, serves the gateway, health and reflection, and stops without cutting calls off.
import { isIPv6 } from 'node:net';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Logger } from 'pino';
import type { GatewayContract } from '../gateway/contract.ts';
import { gatewayService, serviceName } from '../wire/service.ts';
import { gatewayHandlers } from './handlers.ts';
import {
  type ListenAddress,
  ListenFailed,
  listenAddressText,
  openSocketToGroup,
  prepareSocket,
  requireProtection,
} from './listen.ts';
import { addReflection } from './reflection.ts';
import type { ReplaceAllLimits } from './replace-all.ts';
import { tlsCredentials } from './tls.ts';

export interface ApiOptions {
  /** At least one. */
  readonly listen: readonly ListenAddress[];
  readonly gateway: GatewayContract;
  readonly logger: Logger;
  /** What ReplaceAll collects at most; absent: 512 MiB and 2,000,000 things, quiet for a minute. */
  readonly replaceAllLimits?: ReplaceAllLimits;
  /** Milliseconds between two looks at the certificate files; absent: 10,000. */
  readonly certificateRefresh?: number;
}

/** A server that listens; made by `start`. */
export class ApiServer {
  /** Where it listens, as clients give it; a port that was 0 is the real one. */
  readonly addresses: readonly string[];
  readonly #server: Server;
  readonly #health: HealthImplementation;
  readonly #stopping: AbortController;
  readonly #logger: Logger;

  private constructor(
    addresses: readonly string[],
    server: Server,
    health: HealthImplementation,
    stopping: AbortController,
    logger: Logger,
  ) {
    this.addresses = addresses;
    this.#server = server;
    this.#health = health;
    this.#stopping = stopping;
    this.#logger = logger;
  }

  /** Listens on all of the addresses, or on none: then it throws `ListenFailed` with the remedy. */
  static async start(options: ApiOptions): Promise<ApiServer> {
    const { listen, gateway, logger } = options;
    for (const address of listen) requireProtection(address);
    // Its lines on standard error are not of our log's form, and say nothing that the errors do not.
    if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);
    const stopping = new AbortController();
    const server = new Server({
      // Finds clients that are gone without a word, so that their streams do not stay for ever.
      'grpc.keepalive_time_ms': 60_000,
      'grpc.keepalive_timeout_ms': 20_000,
    });
    server.addService(
      gatewayService,
      gatewayHandlers(gateway, { logger, stopping: stopping.signal }, options.replaceAllLimits),
    );
    const health = new HealthImplementation({ '': 'SERVING', [serviceName]: 'SERVING' });
    health.addToServer(server);
    if (!addReflection(server)) logger.warn('the .proto files are not installed, no server reflection');
    const addresses: string[] = [];
    try {
      for (const address of listen) {
        addresses.push(await bind(server, address, logger, options.certificateRefresh));
      }
    } catch (error) {
      server.forceShutdown();
      throw error;
    }
    logger.info({ addresses }, 'API listening');
    return new ApiServer(addresses, server, health, stopping, logger);
  }

  /** What health checks are told; SERVING from the start. */
  setServing(serving: boolean): void {
    const status = serving ? 'SERVING' : 'NOT_SERVING';
    this.#health.setStatus('', status);
    this.#health.setStatus(serviceName, status);
  }

  /** Takes no new calls, ends those that watch, lets the others finish for `grace` milliseconds, then cuts them off. */
  async stop(grace: number): Promise<void> {
    this.setServing(false);
    this.#stopping.abort();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#logger.warn({ grace }, 'calls were cut off');
      this.#server.forceShutdown();
      resolve();
    }, grace);
    this.#server.tryShutdown(() => resolve());
    await promise;
    clearTimeout(timer);
  }
}

/** Returns the address in text. */
async function bind(
  server: Server,
  address: ListenAddress,
  logger: Logger,
  certificateRefresh?: number,
): Promise<string> {
  switch (address.kind) {
    case 'unix':
      await prepareSocket(address.path);
      await listenOn(server, address, `unix:${address.path}`, ServerCredentials.createInsecure());
      await openSocketToGroup(address.path);
      return listenAddressText(address);
    case 'tcp': {
      const credentials =
        address.tls === undefined
          ? ServerCredentials.createInsecure()
          : await tlsCredentials(address.tls, logger, certificateRefresh);
      const host = isIPv6(address.host) ? `[${address.host}]` : address.host;
      const port = await listenOn(server, address, `${host}:${address.port}`, credentials);
      return listenAddressText({ ...address, port });
    }
  }
}

function listenOn(
  server: Server,
  address: ListenAddress,
  target: string,
  credentials: ServerCredentials,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error === null) resolve(port);
      else {
        reject(
          new ListenFailed(
            `cannot listen on ${listenAddressText(address)}: ${error.message}`,
            'check that the address is this host’s and that no other process uses the port',
            error,
          ),
        );
      }
    });
  });
}
