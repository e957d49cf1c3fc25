// ListPortMappings: which frontend port is which machine, in chunks of one revision.
import type { Counters } from '../dataplane/dataplane.ts';
import type { GatewayContract } from '../gateway/contract.ts';
import type { Mapping } from '../ports/mapping.ts';
import type { Answer } from '../wire/client.ts';
import { penstock } from '../wire/generated/proto.js';
import { inChunks } from './chunk.ts';
import { mappingFilter } from './filters.ts';
import { mappingSize } from './plan.ts';
import { type Sent, toPortMapping, toPortRange } from './to-proto.ts';

/** Counters of the largest size that they can have on the wire. */
const countersSize = 40;

/**
 * Ranges come first: in the first chunk together with mappings, or, where there are too many for one, in chunks of
 * their own before. At least one chunk, so that the revision is told even where there is nothing.
 */
export async function* listPortMappings(
  gateway: GatewayContract,
  request: Answer<'ListPortMappingsRequest'>,
): AsyncGenerator<Sent<'ListPortMappingsResponse'>, void, undefined> {
  const filter = mappingFilter(request);
  const snapshot = gateway.snapshot();
  const { revision } = snapshot;
  const rangeChunks = inChunks(Iterator.from(snapshot.ranges(filter)).map(toPortRange), sizeOfRange);
  let ranges: readonly Sent<'PortRange'>[] = [];
  for (const next of rangeChunks) {
    if (ranges.length > 0) yield { revision, ranges: [...ranges] };
    ranges = next;
  }
  let empty = true;
  for (const mappings of inChunks(snapshot.mappings(filter), sizeOfMapping)) {
    const counters = request.skipCounters ? none : await gateway.mappingCounters(mappings);
    yield {
      revision,
      mappings: mappings.map((mapping) => toPortMapping(mapping, counters.get(mapping))),
      ranges: [...ranges],
    };
    ranges = [];
    empty = false;
  }
  if (empty) yield { revision, ranges: [...ranges] };
}

const none: ReadonlyMap<Mapping, Counters> = new Map();

function sizeOfRange(range: Sent<'PortRange'>): number {
  return penstock.v1.PortRange.encode(range).len;
}

function sizeOfMapping(mapping: Mapping): number {
  return mappingSize(toPortMapping(mapping)) + countersSize;
}
