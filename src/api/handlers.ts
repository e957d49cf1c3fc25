// The methods of the service, each with what all calls have in common.
import type { GatewayContract } from '../gateway/contract.ts';
import type { GatewayHandlers } from '../wire/service.ts';
import { apply } from './apply.ts';
import { clientStream, type Site, serverStream, unary, unimplemented } from './calls.ts';
import { listFlows } from './list-flows.ts';
import { listLoadBalancers } from './list-load-balancers.ts';
import { listMemberHealth } from './list-member-health.ts';
import { listOutboundPorts } from './list-outbound-ports.ts';
import { listPortMappings } from './list-port-mappings.ts';
import { ReplaceAll, type ReplaceAllLimits } from './replace-all.ts';
import { getStatus } from './status.ts';
import { watch } from './watch.ts';

export function gatewayHandlers(
  gateway: GatewayContract,
  site: Site,
  limits?: ReplaceAllLimits,
): GatewayHandlers {
  const replaceAll = new ReplaceAll(gateway, limits);
  return {
    apply: unary(site, 'Apply', (request) => apply(gateway, request)),
    replaceAll: clientStream(site, 'ReplaceAll', (chunks) => replaceAll.run(chunks)),
    sync: unimplemented(site, 'Sync', 'use Apply and Watch'),
    getStatus: unary(site, 'GetStatus', () => getStatus(gateway)),
    listLoadBalancers: serverStream(site, 'ListLoadBalancers', (request) =>
      listLoadBalancers(gateway, request),
    ),
    listPortMappings: serverStream(site, 'ListPortMappings', (request) => listPortMappings(gateway, request)),
    listMemberHealth: serverStream(site, 'ListMemberHealth', (request) => listMemberHealth(gateway, request)),
    listFlows: serverStream(site, 'ListFlows', (request) => listFlows(gateway, request)),
    listOutboundPorts: serverStream(site, 'ListOutboundPorts', (request) =>
      listOutboundPorts(gateway, request),
    ),
    watch: serverStream(site, 'Watch', (request, gone) => watch(gateway, request, gone, site.stopping)),
  };
}
