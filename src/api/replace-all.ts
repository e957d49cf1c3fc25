// ReplaceAll: the whole configuration from a stream of chunks; nothing changes before the last one is there.
import { status } from '@grpc/grpc-js';
import type { GatewayContract } from '../gateway/contract.ts';
import { Refusal } from '../resources/refusal.ts';
import type { Answer } from '../wire/client.ts';
import type { Chunk } from './calls.ts';
import { changeOptions } from './change-options.ts';
import { ReplaceAllParts } from './parts.ts';
import { withPatience } from './patience.ts';
import { toApplyResponse } from './plan.ts';
import { CallRejected } from './refusals.ts';
import type { Sent } from './to-proto.ts';

/** What one server lets all streams under way hold together: they stay in memory until their commit. */
export interface ReplaceAllLimits {
  readonly bytes: number;
  /** Members, rules, frontends, pools and load balancers. */
  readonly items: number;
  /** Milliseconds that a stream may be quiet. */
  readonly quiet: number;
}

const replaceAllLimits: ReplaceAllLimits = {
  bytes: 512 * 1024 * 1024,
  items: 2_000_000,
  quiet: 60_000,
};

/** Keeps account of what the streams under way hold. */
export class ReplaceAll {
  readonly #gateway: GatewayContract;
  readonly #limits: ReplaceAllLimits;
  #bytes = 0;
  #items = 0;

  constructor(gateway: GatewayContract, limits: ReplaceAllLimits = replaceAllLimits) {
    this.#gateway = gateway;
    this.#limits = limits;
  }

  async run(chunks: AsyncIterable<Chunk<Answer<'ReplaceAllRequest'>>>): Promise<Sent<'ApplyResponse'>> {
    const parts = new ReplaceAllParts();
    const held = { bytes: 0, items: 0 };
    let commit: Answer<'Commit'> | undefined;
    try {
      for await (const { message, bytes } of withPatience(chunks, this.#limits.quiet, tooQuiet)) {
        if (commit !== undefined)
          throw invalid('commit', 'a chunk follows the commit, which must be in the last one');
        const items = parts.add(message.loadBalancers);
        held.bytes += bytes;
        held.items += items;
        this.#take(bytes, items);
        commit = message.commit ?? undefined;
      }
      if (commit === undefined)
        throw invalid('commit', 'the stream ended without a commit; nothing was changed');
      const applied = await this.#gateway.replaceAll(parts.joined(), changeOptions(commit));
      return toApplyResponse(applied);
    } finally {
      this.#bytes -= held.bytes;
      this.#items -= held.items;
    }
  }

  #take(bytes: number, items: number): void {
    this.#bytes += bytes;
    this.#items += items;
    if (this.#bytes > this.#limits.bytes) throw tooMuch(`${this.#limits.bytes} bytes`);
    if (this.#items > this.#limits.items)
      throw tooMuch(`${this.#limits.items} members, rules and other things`);
  }
}

function invalid(field: string, description: string): Refusal {
  return new Refusal([{ field, reason: 'REQUEST_INVALID', description }]);
}

function tooMuch(limit: string): CallRejected {
  return new CallRejected(
    status.RESOURCE_EXHAUSTED,
    'LIMIT_EXCEEDED',
    `a gateway collects at most ${limit} before the commit; nothing was changed`,
    'load_balancers',
  );
}

function tooQuiet(): CallRejected {
  const message = 'no chunk and no end of the stream came for too long; nothing was changed';
  return new CallRejected(status.DEADLINE_EXCEEDED, 'STREAM_QUIET', message);
}
