// GetStatus: what this gateway is and runs.
import type { FlowTableReport, InterfaceReport, MapReport } from '../dataplane/dataplane.ts';
import type { GatewayContract, ProbeFigures } from '../gateway/contract.ts';
import { type Sent, toDuration, toTimestamp, toWarning } from './to-proto.ts';

export async function getStatus(gateway: GatewayContract): Promise<Sent<'GetStatusResponse'>> {
  const status = await gateway.status();
  const { interfaces, maps, flows, reasons, notes } = status.plane;
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
    outboundRules: status.outboundRules,
    started: toTimestamp(status.started),
    warnings: status.warnings.map(toWarning),
    hostSettings: status.hostSettings.map((setting) => ({ ...setting })),
    hostAddresses: status.hostAddresses.map((address) => ({ ...address })),
    interfaces: interfaces.map(toInterfaceStatus),
    maps: maps.map(toMapStatus),
    mapBytes: maps.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(flows === undefined ? {} : { flowTable: toFlowTableStatus(flows) }),
    packetReasons: reasons.map(({ reason, outcome, packets }) => ({ reason, outcome, packets })),
    notes: [...notes],
    ...(status.probes === undefined ? {} : { probes: toProbeStatus(status.probes) }),
  };
}

function toProbeStatus({ lateness, ...figures }: ProbeFigures): Sent<'ProbeStatus'> {
  return { ...figures, lateness: toDuration(lateness) };
}

function toInterfaceStatus(report: InterfaceReport): Sent<'InterfaceStatus'> {
  const { name, mode, driver, reason, program, multiBuffer } = report;
  return { name, xdpMode: mode, driver, reason, programId: program, multiBuffer };
}

function toMapStatus({ name, bytes, entries }: MapReport): Sent<'MapStatus'> {
  return { name, bytes, ...entries };
}

function toFlowTableStatus({ capacity, used, open }: FlowTableReport): Sent<'FlowTableStatus'> {
  return { capacity, used, open };
}
