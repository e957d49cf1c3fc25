// GetStatus: what this gateway is and runs.
import type { GatewayContract } from '../gateway/contract.ts';
import { type Sent, toTimestamp, toWarning } from './to-proto.ts';

export async function getStatus(gateway: GatewayContract): Promise<Sent<'GetStatusResponse'>> {
  const status = await gateway.status();
  return {
    version: status.version,
    revision: status.revision,
    dataPlane: status.dataPlane,
    dataPlaneVersion: status.dataPlaneVersion,
    dataPlaneRevision: status.dataPlaneRevision,
    loadBalancers: status.loadBalancers,
    portMappings: status.mappings,
    members: status.members,
    inboundNatRules: status.inboundNatRules,
    loadBalancingRules: status.loadBalancingRules,
    started: toTimestamp(status.started),
    warnings: status.warnings.map(toWarning),
    hostSettings: status.hostSettings.map((setting) => ({ ...setting })),
    hostAddresses: status.hostAddresses.map((address) => ({ ...address })),
  };
}
