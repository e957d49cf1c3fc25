// Load balancers as tables: one line each, or one with all its parts.
import type { Answer } from '../../wire/client.ts';
import type { penstock } from '../../wire/generated/proto.js';
import type { Listed } from '../join.ts';
import type { Channel } from '../terminal.ts';
import { paint } from './colour.ts';
import { byteCount, count, endpoint, plainText, protocolName } from './format.ts';
import { type Column, Table } from './table.ts';

type LoadBalancer = Answer<'LoadBalancer'>;
type RuleCounters = Answer<'RuleCounters'>;

const number = (title: string): Column => ({ title, align: 'right' });
const counterColumns: readonly Column[] = [number('PACKETS'), number('TRAFFIC'), number('FLOWS')];
const limitColumns: readonly Column[] = [
  { title: 'RULE WITH LIMITS' },
  { title: 'KIND' },
  number('REFUSED CLIENTS'),
  number('OVER RATE'),
  number('OVER CONCURRENCY'),
];
/** Machines of a pool that a table names; `wide` names all. */
const membersShown = 10;

/** One line for each load balancer; `wide` adds addresses and the sums of the rules' counters. */
export function writeLoadBalancers(out: Channel, listed: Listed, wide: boolean): void {
  if (listed.loadBalancers.length === 0) {
    out.write('no load balancers\n');
    return;
  }
  const columns = [
    { title: 'NAME' },
    number('FRONTENDS'),
    number('POOLS'),
    number('MEMBERS'),
    number('NAT RULES'),
    number('LB RULES'),
  ];
  new Table(out, wide ? [...columns, ...counterColumns, { title: 'ADDRESSES' }] : columns).write(
    listed.loadBalancers.map((one) => [
      plainText(one.name),
      count(one.frontends.length),
      count(one.backendPools.length),
      count(one.backendPools.reduce((sum, pool) => sum + pool.members.length, 0)),
      count(one.inboundNatRules.length),
      count(one.loadBalancingRules.length),
      ...(wide
        ? [...sumCells(one, listed.ruleCounters), one.frontends.map(({ address }) => address).join(',')]
        : []),
    ]),
  );
}

function sumCells({ name }: LoadBalancer, all: readonly RuleCounters[]): readonly string[] {
  const counters = all.filter((one) => one.loadBalancer === name).map((one) => one.counters);
  const sum = (field: 'packets' | 'bytes' | 'flows'): number =>
    counters.reduce((total, one) => total + (one?.[field] ?? 0), 0);
  return [count(sum('packets')), byteCount(sum('bytes')), count(sum('flows'))];
}

/** One load balancer, part by part. */
export function writeLoadBalancer(
  out: Channel,
  loadBalancer: LoadBalancer,
  counters: Pick<Listed, 'ruleCounters' | 'memberCounters' | 'limitCounters'>,
  wide: boolean,
): void {
  const addresses = new Map(loadBalancer.frontends.map(({ name, address }) => [name, address]));
  out.write(`${paint(out, 'bold', plainText(loadBalancer.name))}\n`);
  section(
    out,
    'frontends',
    [{ title: 'FRONTEND' }, { title: 'ADDRESS' }],
    loadBalancer.frontends.map(({ name, address }) => [plainText(name), address]),
  );
  section(
    out,
    'backend pools',
    [{ title: 'POOL' }, number('MEMBERS'), { title: '' }],
    loadBalancer.backendPools.map(({ name, members }) => [
      plainText(name),
      count(members.length),
      memberList(members, wide),
    ]),
  );
  section(
    out,
    'inbound NAT rules',
    [{ title: 'INBOUND NAT RULE' }, { title: 'FRONTEND' }, { title: 'TO' }],
    loadBalancer.inboundNatRules.map((rule) => natRuleCells(rule, addresses)),
  );
  section(
    out,
    'load-balancing rules',
    [
      { title: 'LOAD-BALANCING RULE' },
      { title: 'FRONTEND' },
      { title: 'TO' },
      ...(wide ? counterColumns : []),
    ],
    loadBalancer.loadBalancingRules.map((rule) => [
      plainText(rule.name),
      frontendText(addresses.get(rule.frontend) ?? rule.frontend, rule.frontendPort, rule.protocol),
      `pool ${plainText(rule.backendPool)}${rule.backendPort === 0 ? '' : `, port ${rule.backendPort}`}`,
      ...(wide ? ruleCells(rule.name, counters.ruleCounters) : []),
    ]),
  );
  if (loadBalancer.outboundRules.length > 0) {
    section(
      out,
      'outbound rules',
      [{ title: 'OUTBOUND RULE' }, { title: 'FROM' }, { title: 'FOR' }, { title: 'PORTS EACH' }],
      loadBalancer.outboundRules.map((rule) => [
        plainText(rule.name),
        rule.frontends
          .map((frontend) =>
            frontendText(addresses.get(frontend) ?? frontend, 0, 0).replace(' (all ports)', ''),
          )
          .join(', '),
        `pool ${plainText(rule.backendPool)}, ${protocolName(rule.protocol)}`,
        rule.portsPerMember === 0 ? 'by the pool’s size' : count(rule.portsPerMember),
      ]),
    );
  }
  if (wide && counters.limitCounters.length > 0) {
    section(out, 'limits', limitColumns, counters.limitCounters.map(limitCells));
  }
  if (!wide || counters.memberCounters.length === 0) return;
  section(
    out,
    'members',
    [{ title: 'BALANCED POOL' }, { title: 'MEMBER' }, { title: 'BACKEND' }, ...counterColumns],
    counters.memberCounters.map((one) => [
      plainText(one.backendPool),
      plainText(one.member),
      one.backendAddress,
      ...counterCells(one.counters),
    ]),
  );
}

function section(
  out: Channel,
  what: string,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): void {
  if (rows.length === 0) {
    out.write(`\nno ${what}\n`);
    return;
  }
  out.write('\n');
  new Table(out, columns).write(rows);
}

function memberList(members: readonly Answer<'Member'>[], wide: boolean): string {
  const shown = wide ? members : members.slice(0, membersShown);
  return [...shown.map(memberText), ...(shown.length < members.length ? ['...'] : [])].join(' ');
}

/** `vm-1=10.0.0.4`, and in parentheses what sets it apart: `vm-1=10.0.0.4 (weight 3, drain)`. */
function memberText({ id, address, weight, adminState }: Answer<'Member'>): string {
  const name = id === '' || id === address ? address : `${plainText(id)}=${address}`;
  const apart = [
    ...(weight > 1 ? [`weight ${weight}`] : []),
    ...(adminState > 1 ? [stateName(adminState)] : []),
  ];
  return apart.length === 0 ? name : `${name} (${apart.join(', ')})`;
}

function stateName(state: number): string {
  return ['', 'as probed', 'up', 'down', 'drain'][state] ?? `state ${state}`;
}

function natRuleCells(
  rule: penstock.v1.InboundNatRule,
  addresses: ReadonlyMap<string, string>,
): readonly string[] {
  const address = addresses.get(rule.frontend) ?? rule.frontend;
  const name = plainText(rule.name);
  if (rule.pool) {
    const { frontendPortRangeStart: start, portsPerMember, backendPool } = rule.pool;
    const end =
      rule.pool.frontendPortRangeEnd ??
      start + (rule.pool.maximumMachines ?? 0) * Math.max(1, portsPerMember) - 1;
    const range = `${frontendText(address, start, 0)}-${end}/${protocolName(rule.protocol)}`;
    const each = portsPerMember > 1 ? `, ${portsPerMember} ports each from` : ', port';
    return [name, range, `pool ${plainText(backendPool)}${each} ${rule.backendPort}`];
  }
  const single = rule.single;
  const target = single?.member || single?.address || 'nothing yet';
  return [
    name,
    frontendText(address, single?.frontendPort ?? 0, rule.protocol),
    `${plainText(target)}${rule.backendPort === 0 ? '' : `, port ${rule.backendPort}`}`,
  ];
}

function frontendText(address: string, port: number, protocol: number): string {
  const place = port === 0 ? `${address} (all ports)` : endpoint(address, port);
  return protocol === 0 ? place : `${place}/${protocolName(protocol)}`;
}

function limitCells(one: Answer<'LimitCounters'>): readonly string[] {
  const isNat = one.rule === 'inboundNatRule';
  return [
    plainText((isNat ? one.inboundNatRule : one.loadBalancingRule) ?? ''),
    isNat ? 'inbound NAT' : 'load-balancing',
    count(one.refusedByClient),
    count(one.refusedByRate),
    count(one.refusedByConcurrency),
  ];
}

function ruleCells(rule: string, counters: readonly RuleCounters[]): readonly string[] {
  return counterCells(counters.find((candidate) => candidate.rule === rule)?.counters);
}

function counterCells(one: Answer<'Counters'> | null | undefined): readonly string[] {
  if (one === null || one === undefined) return ['-', '-', '-'];
  return [count(one.packets), byteCount(one.bytes), count(one.flows)];
}
