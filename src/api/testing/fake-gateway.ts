// A gateway for the API's own tests: keeps what it is told, knows a few refusals, forwards nothing.
import { Map as PersistentMap } from 'immutable';
import type { Counters } from '../../dataplane/dataplane.ts';
import type {
  Applied,
  ChangeOptions,
  FlowFilter,
  GatewayContract,
  GatewayEvent,
  LimitRefusals,
  MappingFilter,
  MemberCounters,
  OutboundFilter,
  Plan,
  RuleFlow,
  RuleFlows,
  Snapshot,
  Status,
} from '../../gateway/contract.ts';
import type { MemberHealth } from '../../gateway/member-health.ts';
import type { OutboundMember } from '../../gateway/outbound-members.ts';
import type { Mapping, RangeUsage } from '../../ports/mapping.ts';
import { type IpAddress, parseAddress } from '../../resources/address.ts';
import type { ChangeSetDraft, LoadBalancerDraft } from '../../resources/draft.ts';
import type {
  Configuration,
  InboundNatRule,
  LoadBalancer,
  LoadBalancingRule,
  PoolRule,
} from '../../resources/model.ts';
import { refuseIfAny, type Violation } from '../../resources/refusal.ts';

const since = Date.UTC(2024, 0, 2, 3, 4, 5, 678);

export class FakeGateway implements GatewayContract {
  readonly applied: { readonly changes: ChangeSetDraft; readonly options: ChangeOptions }[] = [];
  readonly replaced: (readonly LoadBalancerDraft[])[] = [];
  /** Thrown by the next change. */
  fault: Error | undefined;
  readonly outboundQueries: OutboundFilter[] = [];
  /** What was asked of flows. */
  readonly flowQueries: { readonly filter: FlowFilter; readonly most: number }[] = [];
  /** How often counters of mappings were asked for. */
  counterReads = 0;
  #revision = 0;
  #configuration: Configuration = PersistentMap();
  readonly #followers = new Set<(event: GatewayEvent) => void>();

  async apply(changes: ChangeSetDraft, options: ChangeOptions = {}): Promise<Applied> {
    this.applied.push({ changes, options });
    this.#fail();
    const put = (changes.putLoadBalancers ?? []).map((draft, index) =>
      build(draft, `put_load_balancers[${index}]`),
    );
    const kept = this.#configuration.deleteAll(changes.deleteLoadBalancers ?? []);
    return this.#run(kept.merge(byName(put)), options);
  }

  async replaceAll(drafts: readonly LoadBalancerDraft[], options: ChangeOptions = {}): Promise<Applied> {
    this.replaced.push(drafts);
    this.#fail();
    return this.#run(byName(drafts.map((draft, index) => build(draft, `load_balancers[${index}]`))), options);
  }

  snapshot(): Snapshot {
    const configuration = this.#configuration;
    return {
      revision: this.#revision,
      configuration,
      mappings: (filter = {}) => filtered(mappingsOf(configuration), filter),
      ranges: () => rangesOf(configuration),
      memberHealth: ({ loadBalancer } = {}) => healthOf(configuration, loadBalancer),
    };
  }

  async status(): Promise<Status> {
    return {
      version: '1.2.3',
      revision: this.#revision,
      dataPlane: 'fake',
      dataPlaneVersion: 'none',
      dataPlaneRevision: this.#revision,
      loadBalancers: this.#configuration.size,
      mappings: [...mappingsOf(this.#configuration)].length,
      members: 0,
      inboundNatRules: 0,
      loadBalancingRules: 0,
      outboundRules: 0,
      started: since,
      warnings: [{ code: 'SAMPLE', message: 'a sample', remedy: 'nothing' }],
      hostSettings: [{ name: 'net.ipv4.ip_forward', value: '1', valueBefore: '0' }],
      hostAddresses: [{ address: '203.0.113.1', interface: 'lo', added: true }],
      plane: {
        interfaces: [
          {
            name: 'eth0',
            mode: 'generic',
            driver: 'tun',
            reason: 'the driver has no XDP',
            program: 7,
            multiBuffer: false,
          },
        ],
        maps: [
          { name: 'frontends', bytes: 4096, entries: { capacity: 64, used: 3 } },
          { name: 'reasons', bytes: 256 },
        ],
        flows: { capacity: 7, used: 2, open: 1 },
        reasons: [{ reason: 'hop-limit', outcome: 'handed-up', packets: 5 }],
        notes: ['a sample'],
      },
    };
  }

  async mappingCounters(mappings: readonly Mapping[]): Promise<ReadonlyMap<Mapping, Counters>> {
    return new Map(
      mappings.map((mapping) => [mapping, { packets: mapping.frontendPort, bytes: 2, flows: 1 }]),
    );
  }

  async ruleCounters({ loadBalancingRules }: LoadBalancer): Promise<ReadonlyMap<string, Counters>> {
    return new Map(loadBalancingRules.map(({ name }) => [name, { packets: 3, bytes: 2, flows: 1 }]));
  }

  async limitRefusals({
    inboundNatRules,
    loadBalancingRules,
  }: LoadBalancer): Promise<readonly LimitRefusals[]> {
    const refusals = { byClient: 1, byRate: 2, byConcurrency: 3 };
    const limited = (rules: readonly (InboundNatRule | LoadBalancingRule)[]) =>
      rules.filter((rule) => rule.limits !== undefined);
    return [
      ...limited(inboundNatRules).map(({ name: rule }) => ({ kind: 'inbound-nat' as const, rule, refusals })),
      ...limited(loadBalancingRules).map(({ name: rule }) => ({
        kind: 'load-balancing' as const,
        rule,
        refusals,
      })),
    ];
  }

  async memberCounters(loadBalancer: LoadBalancer): Promise<readonly MemberCounters[]> {
    const counters = { packets: 4, bytes: 2, flows: 1 };
    const balanced = new Set(loadBalancer.loadBalancingRules.map(({ backendPool }) => backendPool));
    const pools = loadBalancer.backendPools.filter(({ name }) => balanced.has(name));
    return pools.flatMap(({ name: backendPool, members }) =>
      members.map((member) => ({ backendPool, member, counters })),
    );
  }

  /** What is told of outbound ports. */
  outbound: readonly OutboundMember[] = [];

  async outboundPorts(filter: OutboundFilter): Promise<readonly OutboundMember[]> {
    this.outboundQueries.push(filter);
    return this.outbound;
  }

  /** One flow for each member of each load-balancing rule. */
  async flows(filter: FlowFilter, most: number): Promise<RuleFlows> {
    this.flowQueries.push({ filter, most });
    const found = [...flowsOf(this.#configuration)].filter(
      ({ loadBalancer }) => filter.loadBalancer === undefined || filter.loadBalancer === loadBalancer,
    );
    return { flows: found.slice(0, most), more: found.length > most };
  }

  async *watch(_afterRevision: number, signal: AbortSignal): AsyncGenerator<GatewayEvent> {
    const backlog: GatewayEvent[] = [];
    let wake = () => {};
    const follower = (event: GatewayEvent) => {
      backlog.push(event);
      wake();
    };
    this.#followers.add(follower);
    signal.addEventListener('abort', () => wake());
    try {
      while (!signal.aborted) {
        const event = backlog.shift();
        if (event !== undefined) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#followers.delete(follower);
    }
  }

  /** How many watch. */
  get followers(): number {
    return this.#followers.size;
  }

  publish(event: GatewayEvent): void {
    for (const follower of this.#followers) follower(event);
  }

  #fail(): void {
    const fault = this.fault;
    this.fault = undefined;
    if (fault !== undefined) throw fault;
  }

  #run(after: Configuration, { validateOnly, expectedRevision }: ChangeOptions): Applied {
    if (expectedRevision && expectedRevision !== this.#revision) {
      refuseIfAny([
        {
          field: 'expected_revision',
          reason: 'STALE_REVISION',
          description: `the revision is ${this.#revision}`,
          metadata: { current: String(this.#revision) },
        },
      ]);
    }
    const plan = planOf([...mappingsOf(this.#configuration)], [...mappingsOf(after)]);
    if (validateOnly) return { revision: this.#revision, plan };
    this.#revision += 1;
    this.#configuration = after;
    this.publish({ kind: 'applied', revision: this.#revision, time: since, plan });
    return { revision: this.#revision, plan };
  }
}

/** Understands frontends, pools and pool rules; every address that does not parse is refused. */
function build(draft: LoadBalancerDraft, path: string): LoadBalancer {
  const violations: Violation[] = [];
  const address = (text: string | undefined, field: string): IpAddress => {
    const parsed = parseAddress(text ?? '');
    if (parsed !== undefined) return parsed;
    violations.push({ field, reason: 'ADDRESS_INVALID', description: `"${text}" is not an address` });
    return '' as IpAddress;
  };
  const loadBalancer: LoadBalancer = {
    name: draft.name ?? '',
    frontends: (draft.frontends ?? []).map((frontend, index) => ({
      name: frontend.name ?? '',
      address: address(frontend.address, `${path}.frontends[${index}].address`),
      addressOwnership: 'local',
    })),
    backendPools: (draft.backendPools ?? []).map((pool, at) => ({
      name: pool.name ?? '',
      members: (pool.members ?? []).map((member, index) => ({
        id: member.id ?? '',
        address: address(member.address, `${path}.backend_pools[${at}].members[${index}].address`),
        weight: member.weight || 1,
        adminState: 'none',
        pins: {},
      })),
    })),
    probes: [],
    outboundRules: [],
    inboundNatRules: (draft.inboundNatRules ?? []).map((rule) => ({
      kind: 'pool',
      name: rule.name ?? '',
      frontend: rule.frontend ?? '',
      protocol: 'tcp',
      backendPool: rule.pool?.backendPool ?? '',
      rangeStart: rule.pool?.frontendPortRangeStart ?? 1,
      rangeEnd: rule.pool?.frontendPortRangeEnd ?? 65_535,
      portsPerMember: 1,
      backendPort: rule.backendPort ?? 1,
      flow: { sourceNat: 'none' },
      whenUnhealthy: 'forward',
    })),
    loadBalancingRules: (draft.loadBalancingRules ?? []).map((rule) => ({
      name: rule.name ?? '',
      frontend: rule.frontend ?? '',
      protocol: 'udp',
      frontendPort: rule.frontendPort ?? 0,
      backendPort: rule.backendPort ?? 0,
      backendPool: rule.backendPool ?? '',
      probe: '',
      sessionPersistence: 'client-ip',
      noHealthyBackends: 'down',
      flow: { sourceNat: 'masquerade' },
    })),
  };
  for (const [index, rule] of loadBalancer.inboundNatRules.entries()) {
    if (rule.kind !== 'pool') continue;
    const needed = membersOf(loadBalancer, rule).length;
    const available = rule.rangeEnd - rule.rangeStart + 1;
    if (needed <= available) continue;
    violations.push({
      field: `${path}.inbound_nat_rules[${index}].pool.frontend_port_range_end`,
      reason: 'PORT_RANGE_EXHAUSTED',
      description: `${needed} machines, ${available} ports`,
      metadata: { needed: String(needed), available: String(available) },
    });
  }
  refuseIfAny(violations);
  return loadBalancer;
}

function byName(loadBalancers: readonly LoadBalancer[]): Configuration {
  return PersistentMap(loadBalancers.map((loadBalancer) => [loadBalancer.name, loadBalancer]));
}

function membersOf(loadBalancer: LoadBalancer, rule: PoolRule) {
  return loadBalancer.backendPools.find(({ name }) => name === rule.backendPool)?.members ?? [];
}

function* mappingsOf(configuration: Configuration): Generator<Mapping> {
  for (const loadBalancer of configuration.values()) {
    for (const rule of loadBalancer.inboundNatRules) {
      const frontend = loadBalancer.frontends.find(({ name }) => name === rule.frontend);
      if (rule.kind !== 'pool' || frontend === undefined) continue;
      for (const [index, member] of membersOf(loadBalancer, rule).entries()) {
        yield {
          loadBalancer: loadBalancer.name,
          rule: rule.name,
          frontendAddress: frontend.address,
          protocol: rule.protocol,
          frontendPort: rule.rangeStart + index,
          backendPool: rule.backendPool,
          member: member.id,
          backendAddress: member.address,
          backendPort: rule.backendPort,
          masquerade: false,
          since,
        };
      }
    }
  }
}

/** Of every member of every load-balancing rule: the first is up, the others are down. */
function* healthOf(configuration: Configuration, only: string | undefined): Generator<MemberHealth> {
  for (const { name, backendPools, loadBalancingRules } of configuration.values()) {
    if (only !== undefined && only !== name) continue;
    for (const rule of loadBalancingRules) {
      const members = backendPools.find((pool) => pool.name === rule.backendPool)?.members ?? [];
      for (const [index, { id, address }] of members.entries()) {
        const common = { loadBalancer: name, rule: rule.name, member: id, backendAddress: address };
        yield index === 0
          ? { ...common, eligible: true, reason: 'Up_Probe_Success', since, detail: '', flapping: false }
          : { ...common, eligible: false, reason: 'NA', detail: '', flapping: false };
      }
    }
  }
}

function* flowsOf(configuration: Configuration): Generator<RuleFlow> {
  for (const { name, frontends, backendPools, loadBalancingRules } of configuration.values()) {
    for (const rule of loadBalancingRules) {
      const frontend = frontends.find((each) => each.name === rule.frontend);
      const members = backendPools.find((pool) => pool.name === rule.backendPool)?.members ?? [];
      for (const [index, { id, address }] of members.entries()) {
        if (frontend === undefined) continue;
        yield {
          loadBalancer: name,
          rule: rule.name,
          backendPool: rule.backendPool,
          member: id,
          direction: 'inbound',
          transport: 'udp',
          peer: { address: '198.51.100.7' as IpAddress, port: 40_000 + index },
          frontend: { address: frontend.address, port: rule.frontendPort },
          machine: { address, port: rule.backendPort },
          anyPort: false,
          state: 'established',
          keptBy: 'conntrack',
          packets: 2,
          bytes: 200,
        };
      }
    }
  }
}

function* filtered(mappings: Iterable<Mapping>, filter: MappingFilter): Generator<Mapping> {
  for (const mapping of mappings) {
    if (filter.loadBalancer !== undefined && mapping.loadBalancer !== filter.loadBalancer) continue;
    if (filter.member !== undefined && mapping.member !== filter.member) continue;
    if (filter.frontendAddress !== undefined && mapping.frontendAddress !== filter.frontendAddress) continue;
    if (filter.frontendPort !== undefined && mapping.frontendPort !== filter.frontendPort) continue;
    yield mapping;
  }
}

function* rangesOf(configuration: Configuration): Generator<RangeUsage> {
  for (const loadBalancer of configuration.values()) {
    for (const rule of loadBalancer.inboundNatRules) {
      if (rule.kind !== 'pool') continue;
      const { rangeStart, rangeEnd, portsPerMember, backendPool } = rule;
      const used = membersOf(loadBalancer, rule).length;
      const capacity = rangeEnd - rangeStart + 1;
      yield {
        loadBalancer: loadBalancer.name,
        rule: rule.name,
        backendPool,
        rangeStart,
        rangeEnd,
        portsPerMember,
        capacity,
        used,
        free: capacity - used,
        nextPort: used < capacity ? rangeStart + used : 0,
      };
    }
  }
}

function planOf(before: readonly Mapping[], after: readonly Mapping[]): Plan {
  const key = ({ loadBalancer, rule, member }: Mapping) => JSON.stringify([loadBalancer, rule, member]);
  const keysBefore = new Set(before.map(key));
  const keysAfter = new Set(after.map(key));
  const assigned = after.filter((mapping) => !keysBefore.has(key(mapping)));
  const released = before.filter((mapping) => !keysAfter.has(key(mapping)));
  return {
    assigned: assigned.slice(0, 10_000),
    released: released.slice(0, 10_000),
    remapped: [],
    assignedTotal: assigned.length,
    releasedTotal: released.length,
    remappedTotal: 0,
    entriesAdded: assigned.length,
    entriesReplaced: 0,
    entriesDeleted: released.length,
    poolsRebalanced: 0,
    outboundAssigned: 0,
    outboundReleased: 0,
    outboundChanged: 0,
    commitTime: 1.5,
  };
}
