// Whether nft and the kernel take the ruleset; the trials are the agent's own.
import type { FlowDeletion } from '../../dataplane/conntrack/flows.ts';
import type { Finding } from '../../dataplane/dataplane.ts';
import { type Code, catalogue } from '../catalogue.ts';
import { asRoot, type Check, fine, found, type Reading, unknown } from '../check.ts';

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

export interface FlowtableFacts {
  readonly devices: readonly string[];
  /** Why there could be none on them, in the words of nft or the kernel. */
  readonly refusal?: string;
}

export function judgeFlowtable(reading: Reading<FlowtableFacts>): readonly Check[] {
  const code = 'FLOWTABLE_MISSING';
  if (reading.kind === 'unknown') return [unknown(code, '', reading)];
  const { devices, refusal } = reading.value;
  if (refusal === undefined) {
    return [fine(code, '', `there can be one on ${devices.join(', ')}: penstock agent --flowtable auto`)];
  }
  const remedy =
    'all works without; for one, use a kernel with CONFIG_NFT_FLOW_OFFLOAD and CONFIG_NF_FLOW_TABLE_INET';
  return [found(code, '', refusal, remedy)];
}

function isCode(code: string): code is Code {
  return code in catalogue;
}
