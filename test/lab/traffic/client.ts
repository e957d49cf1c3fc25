// Runs in the client's namespace for as long as a test lasts: a process per request would cost more than the request.
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { createInterface } from 'node:readline';
import { setImmediate as breathe } from 'node:timers/promises';
import type { FromClient, Outcome, Request, Stream, StreamOutcome, ToClient } from './message.ts';
import { send } from './send.ts';

const tick = 20;
/** A stream with so many requests under way waits: a client that drowns says nothing about the gateway. */
const mostUnderWay = 64;

interface Running {
  readonly stream: Stream;
  readonly agent: Agent | undefined;
  /** Fractions of requests that are due. */
  due: number;
  underWay: number;
  connected: boolean;
}

let running: ReadonlyMap<string, Running> = new Map();
const underWay = new Set<Promise<void>>();
let outcomes: StreamOutcome[] = [];

function tell(message: FromClient): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function ask(requests: readonly Request[], concurrency: number): Promise<readonly Outcome[]> {
  const results: Outcome[] = new Array(requests.length);
  const queue = requests.entries();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const [index, request] of queue) results[index] = await send(request);
    }),
  );
  return results;
}

/** Replaces the load. Resolves when all requests that were under way before have ended. */
async function load(streams: readonly Stream[]): Promise<void> {
  const before = running;
  running = new Map(
    streams.map((stream, index) => {
      const old = before.get(stream.name);
      // Streams start at different times, so that the load is even and not one burst per second.
      const due = old?.due ?? index / streams.length;
      const agent = old?.agent ?? (stream.held === true ? lasting(stream) : undefined);
      return [stream.name, { stream, agent, due, underWay: 0, connected: old?.connected ?? false }];
    }),
  );
  await Promise.all(underWay);
  for (const [name, { agent }] of before) if (!running.has(name)) agent?.destroy();
}

function lasting({ request }: Stream): Agent {
  const options = { keepAlive: true, maxSockets: 1 };
  return request.scheme === 'https' ? new TlsAgent(options) : new Agent(options);
}

async function once(state: Running): Promise<void> {
  const { stream, agent } = state;
  state.underWay += 1;
  const sockets = countSockets(agent);
  const outcome = await send(stream.request, agent);
  state.underWay -= 1;
  outcomes.push(judge(stream, outcome, state.connected && sockets === 0));
  state.connected = true;
}

function countSockets(agent: Agent | undefined): number {
  const held = [...Object.values(agent?.freeSockets ?? {}), ...Object.values(agent?.sockets ?? {})];
  return held.reduce((count, sockets) => count + (sockets?.length ?? 0), 0);
}

function judge(stream: Stream, outcome: Outcome, reconnected: boolean): StreamOutcome {
  if ('lost' in outcome) return { stream: stream.name, verdict: 'lost', reason: outcome.lost };
  const { machine } = outcome.answer;
  if (!stream.expect.includes(machine)) {
    const reason = `${machine} answered instead of ${stream.expect.join(' or ')}`;
    return { stream: stream.name, verdict: 'wrong', machine, reason };
  }
  return stream.held === true && reconnected
    ? { stream: stream.name, verdict: 'lost', machine, reason: 'the held connection was cut' }
    : { stream: stream.name, verdict: 'right', machine };
}

function beat(): void {
  for (const state of running.values()) {
    const most = state.stream.held === true ? 1 : mostUnderWay;
    state.due += (state.stream.perSecond * tick) / 1000;
    for (; state.due >= 1 && state.underWay < most; state.due -= 1) {
      const request = once(state).finally(() => underWay.delete(request));
      underWay.add(request);
    }
    state.due = Math.min(state.due, 1);
  }
  report();
}

function report(): void {
  if (outcomes.length > 0) tell({ kind: 'outcomes', outcomes });
  outcomes = [];
}

async function obey(message: ToClient): Promise<void> {
  switch (message.kind) {
    case 'ask':
      tell({
        kind: 'answers',
        id: message.id,
        outcomes: await ask(message.requests, message.concurrency),
      });
      break;
    case 'load':
      await load(message.streams);
      await breathe();
      report();
      tell({ kind: 'settled', id: message.id });
      break;
  }
}

createInterface(process.stdin)
  .on('line', (line) => void obey(JSON.parse(line) as ToClient))
  .on('close', () => process.exit(0));
setInterval(beat, tick);
tell({ kind: 'ready' });
