// Errors of sockets as outcomes.
import type { FailureReason, Outcome } from './outcome.ts';

/** Of this host: descriptors, memory or ports have run out, or it may not send. */
const ownTrouble = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRNOTAVAIL',
  'EAGAIN',
  'EPERM',
  'EACCES',
]);

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  EHOSTUNREACH: 'no route, or no such neighbour',
  ENETUNREACH: 'no route',
  ETIMEDOUT: 'no connection',
  UND_ERR_SOCKET: 'connection closed before the answer was complete',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the answer is not HTTP: it has another length than it says',
  UND_ERR_HEADERS_OVERFLOW: 'the header of the answer is too long',
};

export function outcomeOf(error: Error, reason: FailureReason): Outcome {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (ownTrouble.has(code)) return { kind: 'unsent', detail: `${code}: ${error.message}` };
  if (error.name === 'HTTPParserError') {
    return { kind: 'failure', reason, detail: `the answer is not HTTP: ${plain(error.message)}` };
  }
  return { kind: 'failure', reason, detail: words[code] ?? plain(error.message) };
}

/** Messages may quote what the machine sent. */
function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, '?').slice(0, 200);
}
