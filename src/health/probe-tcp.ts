// A TCP probe: the machine has to take a connection.
import { connect } from 'node:net';
import type { Attempt } from './attempt.ts';
import { outcomeOf } from './failures.ts';
import { type Outcome, success } from './outcome.ts';
import type { ProbeTarget } from './target.ts';

/**
 * Ends with a reset: thousands of connections that wait for their end would fill the connection tracking of this host. The
 * source is the address that the route to the machine has.
 */
export function attemptTcp({ address, port }: ProbeTarget, settle: (outcome: Outcome) => void): Attempt {
  const socket = connect({ host: address, port });
  let isOver = false;
  const conclude = (outcome: Outcome): void => {
    if (!isOver) settle(outcome);
    isOver = true;
  };
  socket.once('connect', () => {
    socket.resetAndDestroy();
    conclude(success);
  });
  socket.on('error', (error) => conclude(outcomeOf(error, 'Down_Probe_TcpProbeTimeout')));
  return {
    lacks: 'no connection',
    abort: () => {
      isOver = true;
      socket.destroy();
    },
  };
}
