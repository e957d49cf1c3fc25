// Floating address: what it cannot go together with, because the gateway sees only the client's half of such flows.
import type { FlowOptionsDraft } from './draft.ts';
import { at, type Field } from './field.ts';
import type { Floating } from './model.ts';
import { parseEnum } from './numbers.ts';
import type { Report } from './report.ts';

const encapsulations = ['neighbour', 'neighbour', 'ipip'] as const;
const masquerade = 2;

/** `not`: the rule has nothing of it. Undefined, and reported, when anything in it is wrong. */
export function parseFloating(
  draft: FlowOptionsDraft,
  kind: 'nat' | 'balanced',
  field: Field,
  report: Report,
): Floating | 'not' | undefined {
  const below = at(field, 'encapsulation');
  const encapsulation = parseEnum(encapsulations, draft.encapsulation, 'encapsulation', below, report);
  if (encapsulation === undefined) return undefined;
  if (draft.floatingIp !== true) {
    if (encapsulation === 'neighbour') return 'not';
    report(
      below,
      'FIELDS_CONFLICT',
      'encapsulation IPIP is for floating_ip only: set that, or leave this unset',
    );
    return undefined;
  }
  let wrong = false;
  const refuse = (name: string, because: string): void => {
    wrong = true;
    report(at(field, name), 'FIELDS_CONFLICT', because);
  };
  if (kind === 'nat') {
    wrong = true;
    const remedy =
      'floating_ip: an inbound NAT rule translates; use a load-balancing rule, or leave it false';
    report(at(field, 'floating_ip'), 'FEATURE_UNSUPPORTED', remedy);
  }
  if (draft.sourceNat === masquerade) {
    refuse('source_nat', 'with floating_ip the member answers the client directly: leave source_nat unset');
  }
  if (draft.tcpReset === true) {
    const because =
      'with floating_ip the gateway sees no answers, whose numbers an RST needs: leave it false';
    refuse('tcp_reset', because);
  }
  if (draft.idleTimeout !== undefined && draft.idleTimeout !== null) {
    const because = 'with floating_ip the gateway sees no answers, so it cannot tell silence: leave it unset';
    refuse('idle_timeout', because);
  }
  return wrong ? undefined : encapsulation;
}
