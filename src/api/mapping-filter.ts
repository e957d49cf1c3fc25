// The filter of a port mapping query, checked.
import type { MappingFilter } from '../gateway/contract.ts';
import { parseAddress } from '../resources/address.ts';
import { refuseIfAny, type Violation } from '../resources/refusal.ts';
import type { Answer } from '../wire/client.ts';

/** Fields that are empty or 0 select everything. Throws a Refusal that names every field that cannot be meant. */
export function mappingFilter(request: Answer<'ListPortMappingsRequest'>): MappingFilter {
  const violations: Violation[] = [];
  const address = (field: string, text: string): string => {
    const parsed = parseAddress(text);
    if (parsed === undefined) {
      const description = `${JSON.stringify(text)} is not an IPv4 or IPv6 address`;
      violations.push({ field, reason: 'ADDRESS_INVALID', description });
    }
    return parsed ?? text;
  };
  const { loadBalancer, rule, backendPool, member, memberAddress, frontendAddress, frontendPort } = request;
  if (frontendPort > 65_535) {
    const description = `${frontendPort} is not a port; ports go to 65535`;
    violations.push({ field: 'frontend_port', reason: 'VALUE_OUT_OF_RANGE', description });
  }
  const filter = {
    ...(loadBalancer && { loadBalancer }),
    ...(rule && { rule }),
    ...(backendPool && { backendPool }),
    ...(member && { member }),
    ...(memberAddress && { memberAddress: address('member_address', memberAddress) }),
    ...(frontendAddress && { frontendAddress: address('frontend_address', frontendAddress) }),
    ...(frontendPort && { frontendPort }),
  };
  refuseIfAny(violations);
  return filter;
}
