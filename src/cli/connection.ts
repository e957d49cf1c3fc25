// The way to the agent: opens a client for one piece of work, and turns failed calls into errors for people.
import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { type CallOptions, type ClientOptions, GatewayClient } from '../wire/client.ts';
import { CallFailed } from '../wire/errors.ts';
import type { Globals } from './context.ts';
import { CommandError, type Detail, type ExitCode, exit, usageError } from './exit.ts';

export interface Gateway {
  readonly client: GatewayClient;
  /** For questions. */
  readonly reading: CallOptions;
  /** For changes, which may wait for others and for the kernel. */
  readonly changing: CallOptions;
}

/** Where the field of a refusal stands, such as `gateway.yaml:31`; undefined when that cannot be said. */
export type FieldPlace = (field: string) => string | undefined;

const readingTimeout = 30_000;
const changingTimeout = 300_000;

/** Does `work` with a connection, and closes it. */
export async function withGateway<T>(
  globals: Globals,
  work: (gateway: Gateway) => Promise<T>,
  fieldPlace: FieldPlace = () => undefined,
): Promise<T> {
  using client = open(globals);
  try {
    return await work({
      client,
      reading: { timeout: globals.timeout ?? readingTimeout },
      changing: { timeout: globals.timeout ?? changingTimeout },
    });
  } catch (error) {
    throw error instanceof CallFailed ? explain(error, globals.address, fieldPlace) : error;
  }
}

function open(globals: Globals): GatewayClient {
  try {
    return new GatewayClient(globals.address, clientOptions(globals));
  } catch (error) {
    if (error instanceof TypeError) throw usageError(error.message, 'set --address or PENSTOCK_ADDRESS');
    throw error;
  }
}

function clientOptions({ tls, caCert, clientCert, clientKey }: Globals): ClientOptions {
  if ((clientCert === undefined) !== (clientKey === undefined)) {
    throw usageError('--client-cert and --client-key go together');
  }
  if (tls !== true && caCert === undefined && clientCert === undefined) return {};
  return {
    tls: {
      ...(caCert === undefined ? {} : { ca: readPem('--ca-cert', caCert) }),
      ...(clientCert === undefined ? {} : { cert: readPem('--client-cert', clientCert) }),
      ...(clientKey === undefined ? {} : { key: readPem('--client-key', clientKey) }),
    },
  };
}

function readPem(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw usageError(`${option} ${file}: ${error instanceof Error ? error.message : error}`);
  }
}

/** The error for people that a failed call becomes. */
export function explain(error: CallFailed, address: string, fieldPlace: FieldPlace): CommandError {
  const details = error.violations.map(({ field, description }): Detail => {
    const place = field === '' ? undefined : fieldPlace(field);
    return {
      place: [place, field].filter((part) => part !== undefined && part !== '').join(': '),
      text: description,
    };
  });
  if (error.code === status.UNAVAILABLE && error.reason === undefined) return unreachable(error, address);
  if (error.code === status.DEADLINE_EXCEEDED && error.reason === undefined) {
    return new CommandError(exit.unreachable, `the agent at ${address} did not answer in time`, {
      remedy: 'raise --timeout; a change may have been made all the same, which `penstock status` shows',
    });
  }
  const [first] = error.violations;
  // The agent's message repeats its first violation, which stands among the details anyway.
  const repeats = first !== undefined && error.message.startsWith(`${first.field}: ${first.description}`);
  const message = repeats ? 'refused; nothing was changed' : error.message;
  const alone = details.length === 1 && first?.field === '' && first.description === error.message;
  return new CommandError(exitCodeOf(error.code), `${error.reason ?? error.codeName}: ${message}`, {
    details: alone ? [] : details,
    remedy: remedyOf(error),
  });
}

/** What helps, by what the system, OpenSSL or Node says. */
const remedies: readonly (readonly [cause: RegExp, remedy: string])[] = [
  [
    /EACCES|EPERM/,
    'this user may not use the socket; run the command as root, or as a user of the socket’s group',
  ],
  [
    /certificate required|bad certificate/i,
    'the agent asks who calls: give a certificate that it knows with --client-cert and --client-key',
  ],
  [
    /unable to (get|verify)|self[- ]signed|issuer/i,
    'the agent’s certificate is vouched for by nobody known here: --ca-cert names who does',
  ],
  [/does not match certificate|altnames/i, 'use an --address that the agent’s certificate names'],
  [
    /wrong version number|packet length too long/i,
    'that address speaks no TLS: leave --tls and certificates out',
  ],
];
const otherwise =
  'is the agent running? `penstock agent` starts it; --address or PENSTOCK_ADDRESS says where it listens, and where that needs TLS, --tls or --ca-cert asks for it';

function unreachable(error: CallFailed, address: string): CommandError {
  const [, last = error.message] =
    /Last error: (?:Error: )?(.*?)\.?\s*(?:Resolution note:.*)?$/s.exec(error.message) ?? [];
  const cause = last.trim();
  const remedy = remedies.find(([pattern]) => pattern.test(cause))?.[1] ?? otherwise;
  return new CommandError(exit.unreachable, `cannot reach the agent at ${address}: ${cause}`, { remedy });
}

function remedyOf(error: CallFailed): string {
  switch (error.reason) {
    case 'PORT_RANGE_IN_USE':
      return '--allow-remap moves the members that are named to other ports';
    case 'STALE_REVISION':
      return 'somebody else changed the gateway; look with `penstock diff`, then try again';
    case undefined:
      if (error.code === status.RESOURCE_EXHAUSTED) {
        return 'the change is too large for one message; `penstock apply --replace` sends it in parts';
      }
      return '';
    default:
      return '';
  }
}

function exitCodeOf(code: status): ExitCode {
  switch (code) {
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
      return exit.unreachable;
    case status.INVALID_ARGUMENT:
    case status.NOT_FOUND:
    case status.ALREADY_EXISTS:
    case status.FAILED_PRECONDITION:
    case status.ABORTED:
    case status.OUT_OF_RANGE:
    case status.RESOURCE_EXHAUSTED:
    case status.UNIMPLEMENTED:
    case status.PERMISSION_DENIED:
    case status.UNAUTHENTICATED:
      return exit.refused;
    default:
      return exit.agentFailed;
  }
}
