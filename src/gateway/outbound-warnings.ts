// What `status` says of members that run out of ports.
import type { Finding } from '../dataplane/dataplane.ts';
import { sizeOf } from '../ports/outbound.ts';
import type { OutboundMember } from './outbound-members.ts';

const remedy =
  'See "penstock get outbound". Set more portsPerMember, add a frontend to the rule, or let machines keep fewer connections to one destination.';

/** At most one of each code, about the fullest members. */
export function outboundWarnings(alarming: readonly OutboundMember[]): readonly Finding[] {
  const exhausted = alarming.filter(({ level }) => level === 'exhausted');
  const low = alarming.filter(({ level }) => level === 'low');
  return [
    ...finding('OUTBOUND_PORTS_EXHAUSTED', exhausted, 'new connections to that destination fail'),
    ...finding(
      'OUTBOUND_PORTS_LOW',
      low,
      'new connections to that destination will fail when all are in use',
    ),
  ];
}

function finding(code: string, members: readonly OutboundMember[], what: string): readonly Finding[] {
  const share = ({ used, block }: OutboundMember) => used / sizeOf(block);
  const [worst] = members.toSorted((one, other) => share(other) - share(one));
  if (worst === undefined) return [];
  const { loadBalancer, rule, member, used, block, busiest } = worst;
  const others = members.length === 1 ? '' : ` (and ${members.length - 1} more)`;
  const message = `member ${member} uses ${used} of its ${sizeOf(block)} ports of outbound rule ${loadBalancer}/${rule} towards ${busiest}${others}: ${what}`;
  return [{ code, message, remedy }];
}
