// A change as it arrives: the shape of the protobuf messages in `proto/penstock/v1/resources.proto`, nothing checked.
// Enums are the proto's numbers. Kept structural, so that this folder needs nothing of the wire.

export interface ChangeSetDraft {
  readonly putLoadBalancers?: readonly LoadBalancerDraft[];
  readonly deleteLoadBalancers?: readonly string[];
  readonly putMembers?: readonly PoolMembersDraft[];
  readonly deleteMembers?: readonly PoolMemberIdsDraft[];
}

export interface PoolMembersDraft {
  readonly loadBalancer?: string;
  readonly backendPool?: string;
  readonly members?: readonly MemberDraft[];
}

export interface PoolMemberIdsDraft {
  readonly loadBalancer?: string;
  readonly backendPool?: string;
  readonly ids?: readonly string[];
}

export interface LoadBalancerDraft {
  readonly name?: string;
  readonly frontends?: readonly FrontendDraft[];
  readonly backendPools?: readonly BackendPoolDraft[];
  readonly probes?: readonly ProbeDraft[];
  readonly inboundNatRules?: readonly InboundNatRuleDraft[];
  readonly loadBalancingRules?: readonly LoadBalancingRuleDraft[];
  readonly outboundRules?: readonly OutboundRuleDraft[];
}

export interface FrontendDraft {
  readonly name?: string;
  readonly address?: string;
  readonly addressOwnership?: number;
}

export interface BackendPoolDraft {
  readonly name?: string;
  readonly members?: readonly MemberDraft[];
}

export interface MemberDraft {
  readonly id?: string;
  readonly address?: string;
  readonly weight?: number;
  readonly adminState?: number;
  readonly pins?: Readonly<Record<string, number>>;
}

export interface ProbeDraft {
  readonly name?: string;
  readonly protocol?: number;
  readonly port?: number;
  readonly path?: string;
  readonly interval?: DurationDraft | null;
  readonly timeout?: DurationDraft | null;
  readonly threshold?: number;
  readonly verifyCertificate?: boolean;
}

export interface DurationDraft {
  readonly seconds?: number;
  readonly nanos?: number;
}

export interface FlowOptionsDraft {
  readonly idleTimeout?: DurationDraft | null;
  readonly tcpReset?: boolean;
  readonly floatingIp?: boolean;
  readonly sourceNat?: number;
  readonly encapsulation?: number;
}

export interface LimitsDraft {
  readonly allowedClients?: readonly string[];
  readonly newFlowsPerSecond?: number;
  readonly newFlowsBurst?: number;
  readonly concurrentFlows?: number;
}

export interface InboundNatRuleDraft {
  readonly name?: string;
  readonly frontend?: string;
  readonly protocol?: number;
  readonly backendPort?: number;
  readonly single?: SingleTargetDraft | null;
  readonly pool?: PoolTargetsDraft | null;
  readonly flow?: FlowOptionsDraft | null;
  readonly whenUnhealthy?: number;
  readonly limits?: LimitsDraft | null;
}

export interface SingleTargetDraft {
  readonly frontendPort?: number;
  readonly address?: string;
  readonly member?: string;
}

export interface PoolTargetsDraft {
  readonly backendPool?: string;
  readonly frontendPortRangeStart?: number;
  readonly frontendPortRangeEnd?: number | null;
  readonly maximumMachines?: number | null;
  readonly portsPerMember?: number;
}

export interface OutboundRuleDraft {
  readonly name?: string;
  readonly frontends?: readonly string[];
  readonly protocol?: number;
  readonly backendPool?: string;
  readonly portsPerMember?: number;
  readonly flow?: FlowOptionsDraft | null;
}

export interface LoadBalancingRuleDraft {
  readonly name?: string;
  readonly frontend?: string;
  readonly protocol?: number;
  readonly frontendPort?: number;
  readonly backendPort?: number;
  readonly backendPool?: string;
  readonly probe?: string;
  readonly sessionPersistence?: number;
  readonly noHealthyBackends?: number;
  readonly flow?: FlowOptionsDraft | null;
  readonly drainPeriod?: DurationDraft | null;
  readonly limits?: LimitsDraft | null;
}
