import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { CallFailed } from '../../wire/errors.ts';
import { explain } from '../connection.ts';
import { defaultAddress } from '../context.ts';
import { wayToAgent } from './doctor.ts';

it.each([
  ['nothing listens where agents do', 'ENOENT', defaultAddress, /^penstock agent$/],
  ['nobody took a dead agent’s socket away', 'ECONNREFUSED', defaultAddress, /^penstock agent$/],
  ['an agent may run, but is not for this user', 'EACCES', defaultAddress, /may not use the socket/],
  ['an address of one’s own', 'ENOENT', 'unix:/tmp/my.sock', /--address/],
])('the way to an agent that cannot be asked: %s', (_, code, address, way) => {
  const failed = new CallFailed(
    status.UNAVAILABLE,
    `No connection established. Last error: connect ${code} ${address}.`,
  );
  expect(
    wayToAgent(
      explain(failed, address, () => undefined),
      address,
    ),
  ).toMatch(way);
});
