// From the gateway's plain data to protobuf messages. Enums, timestamps and durations take their wire form here.

import type { Counters, Finding } from '../dataplane/dataplane.ts';
import type { FlowState } from '../dataplane/live-flow.ts';
import type { LimitRefusals, MemberCounters, RuleFlow } from '../gateway/contract.ts';
import type { MemberHealth } from '../gateway/member-health.ts';
import type { OutboundMember } from '../gateway/outbound-members.ts';
import type { OutboundLevel } from '../gateway/outbound-use.ts';
import type { Mapping, RangeUsage } from '../ports/mapping.ts';
import type { RuleProtocol } from '../resources/address.ts';
import type {
  AdminState,
  FlowLimits,
  FlowOptions,
  Frontend,
  InboundNatRule,
  LoadBalancingRule,
  Member,
  NoHealthyBackends,
  OutboundRule,
  Probe,
  ProbeProtocol,
  SessionPersistence,
  SingleTarget,
  WhenUnhealthy,
} from '../resources/model.ts';
import { type google, penstock } from '../wire/generated/proto.js';

const v1 = penstock.v1;
type V1 = typeof penstock.v1;
/** A message to be sent, by its name in the proto package. */
export type Sent<Name extends keyof V1> = V1[Name] extends { encode(message: infer In): unknown }
  ? In
  : never;

/** From milliseconds since 1970. */
export function toTimestamp(milliseconds: number): google.protobuf.Timestamp.$Properties {
  return toDuration(milliseconds);
}

/** From milliseconds, which may have a fraction. */
export function toDuration(milliseconds: number): google.protobuf.Duration.$Properties {
  const seconds = Math.floor(milliseconds / 1_000);
  return { seconds, nanos: Math.floor((milliseconds - seconds * 1_000) * 1_000_000) };
}

export function toFrontend({ name, address, addressOwnership }: Frontend): Sent<'Frontend'> {
  return {
    name,
    address,
    addressOwnership:
      addressOwnership === 'local'
        ? v1.AddressOwnership.ADDRESS_OWNERSHIP_LOCAL
        : v1.AddressOwnership.ADDRESS_OWNERSHIP_EXTERNAL,
  };
}

export function toMember({ id, address, weight, adminState, pins }: Member): Sent<'Member'> {
  return { id, address, weight, adminState: toAdminState(adminState), pins: { ...pins } };
}

export function toProbe({ interval, timeout, ...probe }: Probe): Sent<'Probe'> {
  return {
    ...probe,
    protocol: toProbeProtocol(probe.protocol),
    interval: toDuration(interval),
    timeout: toDuration(timeout),
  };
}

export function toInboundNatRule(rule: InboundNatRule): Sent<'InboundNatRule'> {
  const common = {
    name: rule.name,
    frontend: rule.frontend,
    protocol: toProtocol(rule.protocol),
    backendPort: rule.backendPort,
    flow: toFlowOptions(rule.flow),
    whenUnhealthy: toWhenUnhealthy(rule.whenUnhealthy),
    ...(rule.limits && { limits: toLimits(rule.limits) }),
  };
  switch (rule.kind) {
    case 'single':
      return { ...common, single: { frontendPort: rule.frontendPort, ...toTarget(rule.target) } };
    case 'pool':
      return {
        ...common,
        pool: {
          backendPool: rule.backendPool,
          frontendPortRangeStart: rule.rangeStart,
          frontendPortRangeEnd: rule.rangeEnd,
          portsPerMember: rule.portsPerMember,
        },
      };
  }
}

export function toLoadBalancingRule(rule: LoadBalancingRule): Sent<'LoadBalancingRule'> {
  return {
    name: rule.name,
    frontend: rule.frontend,
    protocol: toProtocol(rule.protocol),
    frontendPort: rule.frontendPort,
    backendPort: rule.backendPort,
    backendPool: rule.backendPool,
    sessionPersistence: toSessionPersistence(rule.sessionPersistence),
    probe: rule.probe,
    noHealthyBackends: toNoHealthyBackends(rule.noHealthyBackends),
    flow: toFlowOptions(rule.flow),
    ...(rule.drainPeriod !== undefined && { drainPeriod: toDuration(rule.drainPeriod) }),
    ...(rule.limits && { limits: toLimits(rule.limits) }),
  };
}

export function toOutboundRule(rule: OutboundRule): Sent<'OutboundRule'> {
  const { name, frontends, protocol, backendPool, portsPerMember } = rule;
  return { name, frontends: [...frontends], protocol: toProtocol(protocol), backendPool, portsPerMember };
}

export function toOutboundPorts({ block, ...member }: OutboundMember): Sent<'OutboundPorts'> {
  const { loadBalancer, rule, backendPool, backendAddress, protocol, flows, used, busiest, level } = member;
  return {
    loadBalancer,
    rule,
    backendPool,
    member: member.member,
    backendAddress,
    protocol: toProtocol(protocol),
    frontendAddress: block.address,
    firstPort: block.first,
    lastPort: block.last,
    assigned: toTimestamp(block.since),
    flows,
    used,
    level: toOutboundLevel(level),
    busiest,
  };
}

/** Without `counters` the message has none. */
export function toPortMapping(mapping: Mapping, counters?: Counters): Sent<'PortMapping'> {
  const message: Sent<'PortMapping'> = {
    loadBalancer: mapping.loadBalancer,
    rule: mapping.rule,
    frontendAddress: mapping.frontendAddress,
    protocol: toProtocol(mapping.protocol),
    frontendPort: mapping.frontendPort,
    member: mapping.member,
    backendAddress: mapping.backendAddress,
    backendPort: mapping.backendPort,
    assigned: toTimestamp(mapping.since),
  };
  return counters === undefined ? message : { ...message, counters: toCounters(counters) };
}

export function toPortRange(range: RangeUsage): Sent<'PortRange'> {
  return {
    loadBalancer: range.loadBalancer,
    rule: range.rule,
    backendPool: range.backendPool,
    frontendPortRangeStart: range.rangeStart,
    frontendPortRangeEnd: range.rangeEnd,
    portsPerMember: range.portsPerMember,
    capacity: range.capacity,
    used: range.used,
    free: range.free,
    nextPort: range.nextPort,
  };
}

export function toRuleCounters(loadBalancer: string, rule: string, counters: Counters): Sent<'RuleCounters'> {
  return { loadBalancer, rule, counters: toCounters(counters) };
}

export function toLimitCounters(
  loadBalancer: string,
  { kind, rule, refusals }: LimitRefusals,
): Sent<'LimitCounters'> {
  return {
    loadBalancer,
    ...(kind === 'inbound-nat' ? { inboundNatRule: rule } : { loadBalancingRule: rule }),
    refusedByClient: refusals.byClient,
    refusedByRate: refusals.byRate,
    refusedByConcurrency: refusals.byConcurrency,
  };
}

export function toMemberCounters(
  loadBalancer: string,
  { backendPool, member, counters }: MemberCounters,
): Sent<'MemberCounters'> {
  return {
    loadBalancer,
    backendPool,
    member: member.id,
    backendAddress: member.address,
    counters: toCounters(counters),
  };
}

export function toMemberHealth({ since, drainEnds, ...member }: MemberHealth): Sent<'MemberHealth'> {
  return {
    ...member,
    ...(since !== undefined && { since: toTimestamp(since) }),
    ...(drainEnds !== undefined && { drainEnds: toTimestamp(drainEnds) }),
  };
}

export function toFlow(flow: RuleFlow): Sent<'Flow'> {
  const { loadBalancer, rule, backendPool, member, peer, frontend, machine, keptBy, packets, bytes } = flow;
  return {
    loadBalancer,
    rule,
    direction:
      flow.direction === 'inbound'
        ? v1.FlowDirection.FLOW_DIRECTION_INBOUND
        : v1.FlowDirection.FLOW_DIRECTION_OUTBOUND,
    protocol: toProtocol(flow.transport),
    peerAddress: peer.address,
    peerPort: peer.port,
    frontendAddress: frontend.address,
    frontendPort: frontend.port,
    backendPool,
    member,
    backendAddress: machine.address,
    backendPort: machine.port,
    state: toFlowState(flow.state),
    keptBy,
    packets,
    bytes,
  };
}

export function toWarning({ code, message, remedy }: Finding): Sent<'Warning'> {
  return { code, message, remedy };
}

function toCounters({ packets, bytes, flows }: Counters): Sent<'Counters'> {
  return { packets, bytes, flows };
}

function toProtocol(protocol: RuleProtocol): penstock.v1.Protocol {
  switch (protocol) {
    case 'tcp':
      return v1.Protocol.PROTOCOL_TCP;
    case 'udp':
      return v1.Protocol.PROTOCOL_UDP;
    case 'all':
      return v1.Protocol.PROTOCOL_ALL;
  }
}

function toOutboundLevel(level: OutboundLevel): penstock.v1.OutboundLevel {
  switch (level) {
    case 'normal':
      return v1.OutboundLevel.OUTBOUND_LEVEL_NORMAL;
    case 'low':
      return v1.OutboundLevel.OUTBOUND_LEVEL_LOW;
    case 'exhausted':
      return v1.OutboundLevel.OUTBOUND_LEVEL_EXHAUSTED;
  }
}

function toFlowState(state: FlowState): penstock.v1.FlowState {
  switch (state) {
    case 'new':
      return v1.FlowState.FLOW_STATE_NEW;
    case 'established':
      return v1.FlowState.FLOW_STATE_ESTABLISHED;
    case 'closing':
      return v1.FlowState.FLOW_STATE_CLOSING;
  }
}

function toAdminState(state: AdminState): penstock.v1.AdminState {
  switch (state) {
    case 'none':
      return v1.AdminState.ADMIN_STATE_NONE;
    case 'up':
      return v1.AdminState.ADMIN_STATE_UP;
    case 'down':
      return v1.AdminState.ADMIN_STATE_DOWN;
    case 'drain':
      return v1.AdminState.ADMIN_STATE_DRAIN;
  }
}

function toProbeProtocol(protocol: ProbeProtocol): penstock.v1.ProbeProtocol {
  switch (protocol) {
    case 'tcp':
      return v1.ProbeProtocol.PROBE_PROTOCOL_TCP;
    case 'http':
      return v1.ProbeProtocol.PROBE_PROTOCOL_HTTP;
    case 'https':
      return v1.ProbeProtocol.PROBE_PROTOCOL_HTTPS;
  }
}

function toWhenUnhealthy(what: WhenUnhealthy): penstock.v1.WhenUnhealthy {
  switch (what) {
    case 'forward':
      return v1.WhenUnhealthy.WHEN_UNHEALTHY_FORWARD;
    case 'refuse':
      return v1.WhenUnhealthy.WHEN_UNHEALTHY_REFUSE;
  }
}

function toNoHealthyBackends(what: NoHealthyBackends): penstock.v1.NoHealthyBackends {
  switch (what) {
    case 'down':
      return v1.NoHealthyBackends.NO_HEALTHY_BACKENDS_ALL_PROBED_DOWN;
    case 'up':
      return v1.NoHealthyBackends.NO_HEALTHY_BACKENDS_ALL_PROBED_UP;
  }
}

function toSessionPersistence(persistence: SessionPersistence): penstock.v1.SessionPersistence {
  switch (persistence) {
    case 'none':
      return v1.SessionPersistence.SESSION_PERSISTENCE_NONE;
    case 'client-ip':
      return v1.SessionPersistence.SESSION_PERSISTENCE_CLIENT_IP;
    case 'client-ip-protocol':
      return v1.SessionPersistence.SESSION_PERSISTENCE_CLIENT_IP_PROTOCOL;
  }
}

function toFlowOptions({ sourceNat, idleTimeout, tcpReset, floating }: FlowOptions): Sent<'FlowOptions'> {
  return {
    ...(idleTimeout !== undefined && { idleTimeout: toDuration(idleTimeout * 1_000) }),
    ...(tcpReset && { tcpReset }),
    ...(floating && { floatingIp: true }),
    ...(floating === 'ipip' && { encapsulation: v1.Encapsulation.ENCAPSULATION_IPIP }),
    sourceNat: sourceNat === 'masquerade' ? v1.SourceNat.SOURCE_NAT_MASQUERADE : v1.SourceNat.SOURCE_NAT_NONE,
  };
}

function toLimits({ allowedClients, newFlows, concurrentFlows }: FlowLimits): Sent<'Limits'> {
  return {
    allowedClients: [...allowedClients],
    ...(newFlows && { newFlowsPerSecond: newFlows.perSecond, newFlowsBurst: newFlows.burst }),
    ...(concurrentFlows !== undefined && { concurrentFlows }),
  };
}

function toTarget(target: SingleTarget): { readonly address?: string; readonly member?: string } {
  switch (target.kind) {
    case 'none':
      return {};
    case 'address':
      return { address: target.address };
    case 'member':
      return { member: `${target.backendPool}/${target.id}` };
  }
}
