// Joins the parts of load balancers that came in several chunks of ReplaceAll.
import type { BackendPoolDraft, LoadBalancerDraft, MemberDraft } from '../resources/draft.ts';

type Lists = { -readonly [List in ListName]-?: NonNullable<LoadBalancerDraft[List]>[number][] };
type ListName = Exclude<keyof LoadBalancerDraft, 'name' | 'backendPools'>;

interface Pool extends BackendPoolDraft {
  readonly members: MemberDraft[];
}

interface Joined extends Readonly<Lists> {
  readonly name: string;
  readonly backendPools: Pool[];
}

/**
 * Parts of one name are joined where they come in different chunks, and so are the members of pools. What stands twice
 * in one chunk stays two things, which the gateway refuses: it is a mistake and not a part.
 */
export class ReplaceAllParts {
  readonly #joined: Joined[] = [];
  readonly #byName = new Map<string, { readonly draft: Joined; readonly pools: Map<string, Pool> }>();

  /** Returns how many things the chunk adds. */
  add(chunk: readonly LoadBalancerDraft[] = []): number {
    const seen = new Set<string>();
    let items = 0;
    for (const part of chunk) {
      const name = part.name ?? '';
      const known = seen.has(name) ? undefined : this.#byName.get(name);
      seen.add(name);
      const { draft, pools } = known ?? this.#start(name);
      items += 1 + append(draft, part) + appendPools(draft.backendPools, pools, part.backendPools ?? []);
    }
    return items;
  }

  /** In the order of their first parts. */
  joined(): readonly LoadBalancerDraft[] {
    return this.#joined;
  }

  #start(name: string): { readonly draft: Joined; readonly pools: Map<string, Pool> } {
    const draft: Joined = {
      name,
      frontends: [],
      backendPools: [],
      probes: [],
      inboundNatRules: [],
      loadBalancingRules: [],
      outboundRules: [],
    };
    const entry = { draft, pools: new Map<string, Pool>() };
    this.#joined.push(draft);
    this.#byName.set(name, entry);
    return entry;
  }
}

function append(draft: Joined, part: LoadBalancerDraft): number {
  return (
    extend(draft.frontends, part.frontends) +
    extend(draft.probes, part.probes) +
    extend(draft.inboundNatRules, part.inboundNatRules) +
    extend(draft.loadBalancingRules, part.loadBalancingRules) +
    extend(draft.outboundRules, part.outboundRules)
  );
}

function appendPools(list: Pool[], known: Map<string, Pool>, parts: readonly BackendPoolDraft[]): number {
  const seen = new Set<string>();
  let items = 0;
  for (const part of parts) {
    const name = part.name ?? '';
    let pool = seen.has(name) ? undefined : known.get(name);
    seen.add(name);
    if (pool === undefined) {
      pool = { name, members: [] };
      list.push(pool);
      known.set(name, pool);
    }
    items += 1 + extend(pool.members, part.members);
  }
  return items;
}

/** Not `push(...more)`: a list may be longer than a call's arguments. */
function extend<T>(list: T[], more: readonly T[] = []): number {
  for (const item of more) list.push(item);
  return more.length;
}
