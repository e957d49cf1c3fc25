// Whether nft and the kernel take the ruleset; the trials are the agent's own.
import type { FlowDeletion } from '../../dataplane/conntrack/flows.ts';
import type { Finding } from '../../dataplane/dataplane.ts';
import { type Code, catalogue } from '../catalogue.ts';
import { asRoot, type Check, fine, found, unknown } from '../check.ts';

export interface NftFacts {
  /** Absent where nft cannot be run. */
  readonly version?: string;
  /** How flows end; absent where they cannot be ended, or it was not tried. */
  readonly flowDeletion?: FlowDeletion;
  readonly findings: readonly Finding[];
}

export function judgeNft({ version, flowDeletion, findings }: NftFacts): readonly Check[] {
  const reported = findings.flatMap(({ code, message, remedy }): readonly Check[] => {
    if (code === 'NFT_NOT_PERMITTED') {
      return [unknown('NFT_RULESET_REFUSED', '', { reason: message, remedy: asRoot })];
    }
    return isCode(code) ? [found(code, '', message, remedy)] : [];
  });
  if (version === undefined) return reported;
  const codes = reported.map(({ code }) => code);
  return [
    fine('NFT_MISSING', '', version),
    ...(codes.every((code) => code === 'CONNTRACK_NETLINK_MISSING')
      ? [
          fine(
            'NFT_RULESET_REFUSED',
            '',
            'the kernel takes the ruleset: NAT, conntrack marks, jhash, counters',
          ),
        ]
      : []),
    ...(flowDeletion !== undefined
      ? [fine('CONNTRACK_NETLINK_MISSING', '', `flows can be ended, ${deletions[flowDeletion]}`)]
      : []),
    ...reported,
  ];
}

const deletions = { 'by-filter': 'many at once', 'one-by-one': 'one by one' } as const;

function isCode(code: string): code is Code {
  return code in catalogue;
}
