// Live flows by what is declared: the kernel tells addresses and ports, the table says which rule and member those are.
import type { DataPlane } from '../dataplane/dataplane.ts';
import type { LiveFlow } from '../dataplane/live-flow.ts';
import { type Entry, endpointKey } from '../forwarding/table.ts';
import { type IpAddress, sourceKey } from '../resources/address.ts';
import { addressIndexOf } from '../resources/address-index.ts';
import type { LoadBalancer } from '../resources/model.ts';
import type { FlowFilter, RuleFlow, RuleFlows } from './contract.ts';
import type { State } from './state.ts';

type Owner = Pick<RuleFlow, 'loadBalancer' | 'rule' | 'backendPool' | 'member'>;

/** At most `most`. Flows that no rule of the state leads to are on their way out, and not told. */
export async function ruleFlows(
  dataPlane: DataPlane,
  state: State,
  filter: FlowFilter,
  most: number,
): Promise<RuleFlows> {
  const ownerOf = owners(state);
  const found = new Map<LiveFlow, Owner>();
  const { flows, more } = await dataPlane.flows({
    most,
    wanted(flow) {
      if (!sidesMatch(flow, filter)) return false;
      const owner = flow.direction === 'outbound' ? outboundOwner(state, flow) : ownerOf(flow);
      if (owner === undefined || !ownerMatches(owner, filter)) return false;
      found.set(flow, owner);
      return true;
    },
  });
  return {
    flows: flows.flatMap((flow) => {
      const owner = found.get(flow);
      return owner === undefined ? [] : [{ ...flow, ...owner }];
    }),
    more,
  };
}

function sidesMatch({ peer, frontend, machine }: LiveFlow, filter: FlowFilter): boolean {
  return (
    (filter.frontendAddress === undefined || frontend.address === filter.frontendAddress) &&
    (filter.frontendPort === undefined || frontend.port === filter.frontendPort) &&
    (filter.memberAddress === undefined || machine.address === filter.memberAddress) &&
    (filter.peerAddress === undefined || peer.address === filter.peerAddress)
  );
}

function ownerMatches(owner: Owner, filter: FlowFilter): boolean {
  return (
    (filter.loadBalancer === undefined || owner.loadBalancer === filter.loadBalancer) &&
    (filter.rule === undefined || owner.rule === filter.rule) &&
    (filter.backendPool === undefined || owner.backendPool === filter.backendPool) &&
    (filter.member === undefined || owner.member === filter.member)
  );
}

function outboundOwner({ outbound }: State, { machine, transport, frontend }: LiveFlow): Owner | undefined {
  const owner = outbound.owners.get(sourceKey(machine.address, transport));
  if (owner === undefined) return undefined;
  const ports = outbound.ports.get(owner.loadBalancer)?.get(owner.rule);
  const block = ports?.blocks.get(owner.member);
  const isOf =
    block?.address === frontend.address && block.first <= frontend.port && frontend.port <= block.last;
  return ports !== undefined && isOf ? { ...owner, backendPool: ports.backendPool } : undefined;
}

/** Asked once per endpoint and machine, however many flows they have. */
function owners(state: State): (flow: LiveFlow) => Owner | undefined {
  const places = remembering((key: string, flow: LiveFlow) => placeOf(state, key, flow));
  const machines = remembering((_: string, flow: LiveFlow, place: Place | undefined) =>
    place === undefined ? undefined : ownerAt(place, flow.machine.address),
  );
  return (flow) => {
    const { transport, frontend, machine, anyPort } = flow;
    const key = endpointKey({ address: frontend.address, transport, port: anyPort ? 0 : frontend.port });
    return machines(`${key}/${machine.address}`, flow, places(key, flow));
  };
}

function remembering<Rest extends readonly unknown[], T>(
  find: (key: string, ...rest: Rest) => T,
): (key: string, ...rest: Rest) => T {
  const known = new Map<string, T>();
  return (key, ...rest) => {
    const value = known.get(key);
    if (value !== undefined || known.has(key)) return value as T;
    const fresh = find(key, ...rest);
    known.set(key, fresh);
    return fresh;
  };
}

/** The rule that an endpoint belongs to. */
interface Place {
  readonly loadBalancer: LoadBalancer;
  /** Prefixed with its kind, as in the forwarding table. */
  readonly rule: string;
  readonly entry: Entry;
}

function placeOf(state: State, key: string, { frontend }: LiveFlow): Place | undefined {
  for (const name of addressIndexOf(state.configuration).get(frontend.address, [])) {
    const loadBalancer = state.configuration.get(name);
    for (const [rule, { entries }] of state.table.loadBalancers.get(name)?.rules ?? []) {
      const entry = entries.get(key);
      if (entry !== undefined && loadBalancer !== undefined) return { loadBalancer, rule, entry };
    }
  }
  return undefined;
}

function ownerAt({ loadBalancer, rule, entry }: Place, machine: IpAddress): Owner | undefined {
  const slash = rule.indexOf('/');
  const [kind, name] = [rule.slice(0, slash), rule.slice(slash + 1)];
  if (entry.target.kind === 'nat' && entry.target.address !== machine) return undefined;
  const backendPool = kind === 'nat' ? natPool(loadBalancer, name) : balancedPool(loadBalancer, name);
  const pool = loadBalancer.backendPools.find((each) => each.name === backendPool);
  const member = pool?.members.find(({ address }) => address === machine)?.id;
  if (backendPool !== '' && member === undefined) return undefined;
  return { loadBalancer: loadBalancer.name, rule: name, backendPool, member: member ?? '' };
}

/** Empty for a plain address. */
function natPool({ inboundNatRules }: LoadBalancer, name: string): string {
  const rule = inboundNatRules.find((each) => each.name === name);
  if (rule?.kind === 'pool') return rule.backendPool;
  return rule?.target.kind === 'member' ? rule.target.backendPool : '';
}

function balancedPool({ loadBalancingRules }: LoadBalancer, name: string): string {
  return loadBalancingRules.find((each) => each.name === name)?.backendPool ?? '';
}
