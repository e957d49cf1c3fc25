// Apply: a change set as one transaction.
import type { GatewayContract } from '../gateway/contract.ts';
import type { Answer } from '../wire/client.ts';
import { changeOptions } from './change-options.ts';
import { toApplyResponse } from './plan.ts';
import type { Sent } from './to-proto.ts';

export async function apply(
  gateway: GatewayContract,
  request: Answer<'ApplyRequest'>,
): Promise<Sent<'ApplyResponse'>> {
  const applied = await gateway.apply(request.changes ?? {}, changeOptions(request));
  return toApplyResponse(applied);
}
