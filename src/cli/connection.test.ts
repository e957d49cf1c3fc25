// What people are told when a call comes to nothing.
import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { CallFailed } from '../wire/errors.ts';
import { explain } from './connection.ts';

it.each([
  ['Last error: Error: connect EACCES /run/p.sock. ', 'connect EACCES /run/p.sock', 'socket’s group'],
  [
    'Last error: Error: connect ECONNREFUSED 10.0.0.1:1. Resolution note: ',
    'ECONNREFUSED 10.0.0.1:1',
    'running?',
  ],
  [
    'Last error: Error: 40:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:1.c:2:\n. Resolution note: ',
    'alert certificate required:1.c:2:',
    '--client-cert and --client-key',
  ],
  ['Last error: Error: unable to verify the first certificate', 'first certificate', '--ca-cert'],
  ['Last error: Error: wrong version number', 'wrong version number', 'speaks no TLS'],
])('tells the cause and what helps: %j', (said, cause, remedy) => {
  const failed = new CallFailed(status.UNAVAILABLE, `No connection established. ${said}`);
  const found = explain(failed, '10.0.0.1:1', () => undefined);
  expect(found.message).toContain('cannot reach the agent at 10.0.0.1:1: ');
  expect(found.message.endsWith(cause)).toBe(true);
  expect(found.message).not.toContain('Resolution note');
  expect(found.remedy).toContain(remedy);
});
