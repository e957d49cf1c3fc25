// One agent for each network namespace: two would take each other's table for damage, and mend it every second.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { DataPlaneUnavailable } from '../dataplane/dataplane.ts';

/** An abstract socket: it belongs to the network namespace as the ruleset does, and is gone when its process is. */
const claimName = '\0penstock-agent';

/** Throws `DataPlaneUnavailable` while another agent runs, whatever its state directory is. */
export async function claimHost(): Promise<Disposable> {
  const server = createServer((connection) => connection.destroy());
  server.unref();
  try {
    server.listen(claimName);
    await once(server, 'listening');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    throw new DataPlaneUnavailable([
      {
        code: 'AGENT_RUNNING',
        message: 'another agent runs on this host, with a state directory of its own',
        remedy: 'stop the other one first: one agent serves all load balancers of a host',
      },
    ]);
  }
  return { [Symbol.dispose]: () => void server.close() };
}
