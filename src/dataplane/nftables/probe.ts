// Finds out by trying what the host lacks. Nothing is changed: `nft -c` has the kernel check a ruleset and drop it.
import { execa } from 'execa';
import type { FlowDeletion, Flows } from '../conntrack/flows.ts';
import type { Finding } from '../dataplane.ts';
import { runNft } from './bulk.ts';
import { skeletonText } from './skeleton.ts';

/** A table of this name never exists, so that the trial does not depend on what the kernel runs. */
const trialTable = 'penstock_trial';

/** Small rulesets, each with one thing that the skeleton needs, to say which of them is missing. */
const trials: readonly {
  readonly finding: Omit<Finding, 'message'>;
  readonly what: string;
  readonly rules: string;
}[] = [
  {
    finding: {
      code: 'NF_TABLES_MISSING',
      remedy: 'load or enable CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET',
    },
    what: 'the kernel has no nf_tables for the family inet',
    rules: '',
  },
  {
    finding: {
      code: 'NFT_NAT_MISSING',
      remedy: 'load or enable CONFIG_NFT_NAT, CONFIG_NFT_MASQ and CONFIG_NF_NAT',
    },
    what: 'the kernel cannot translate addresses in nf_tables',
    rules:
      'chain c { type nat hook prerouting priority -100; dnat ip to 192.0.2.1; }\n' +
      'chain d { type nat hook postrouting priority 100; masquerade; }',
  },
  {
    finding: { code: 'NFT_CT_MISSING', remedy: 'load or enable CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK' },
    what: 'the kernel has no connection tracking in nf_tables, or none with marks',
    rules: 'chain c { type filter hook prerouting priority -90; ct mark set 1; }',
  },
  {
    finding: { code: 'NFT_HASH_MISSING', remedy: 'load or enable CONFIG_NFT_HASH' },
    what: 'the kernel or nft has no jhash',
    rules: 'chain c { meta priority set jhash ip saddr mod 1021 seed 1; }',
  },
  {
    finding: {
      code: 'NFT_SET_COUNTERS_MISSING',
      remedy: 'use Linux 5.10 or later and nftables 0.9.9 or later',
    },
    what: 'the kernel or nft has no counters in maps',
    rules: 'map m { type ipv4_addr . inet_proto : ipv4_addr; counter; }',
  },
  {
    finding: {
      code: 'NFT_LIMITS_MISSING',
      remedy: 'load or enable CONFIG_NFT_LIMIT and CONFIG_NFT_CONNLIMIT, and use nftables 1.0.6 or later',
    },
    what: 'the kernel or nft has no limits in the elements of sets',
    rules: 'set r { type mark; limit rate over 1/second; }\nset c { type mark; ct count over 1; }',
  },
];

/** The version line of nft, or the finding that it is not there. */
export async function probeNft(): Promise<{ readonly version: string } | { readonly finding: Finding }> {
  const result = await execa('nft', ['--version'], { reject: false });
  if (result.exitCode === 0) return { version: result.stdout.trim() };
  return {
    finding: {
      code: 'NFT_MISSING',
      message: `the program nft cannot be run: ${result.shortMessage ?? 'no answer'}`,
      remedy: 'apt-get install nftables',
    },
  };
}

/** What the kernel or nft refuses of the skeleton. */
export async function probeRuleset(): Promise<readonly Finding[]> {
  const whole = await runNft(['-c', '-f', '-'], skeletonText(trialTable));
  if (whole.kind === 'done') return [];
  if (/operation not permitted|permission denied/i.test(whole.log)) {
    return [
      {
        code: 'NFT_NOT_PERMITTED',
        message: 'the kernel does not let this process change the packet filter',
        remedy: 'run as root, or grant CAP_NET_ADMIN to the process and to the programs that it starts',
      },
    ];
  }
  const findings: Finding[] = [];
  for (const { finding, what, rules } of trials) {
    const outcome = await runNft(['-c', '-f', '-'], `table inet ${trialTable} {\n${rules}\n}\n`);
    if (outcome.kind !== 'done') findings.push({ ...finding, message: `${what}: ${firstLine(outcome.log)}` });
  }
  if (findings.length > 0) return findings;
  return [
    {
      code: 'NFT_RULESET_REFUSED',
      message: `nft refuses the ruleset: ${firstLine(whole.log)}`,
      remedy: 'update nftables and the kernel, and report this message',
    },
  ];
}

/** How flows end from now on, or the finding that they cannot be ended. */
export async function probeFlows(
  flows: Flows,
): Promise<{ readonly deletion: FlowDeletion } | { readonly finding: Finding }> {
  try {
    return { deletion: await flows.probe() };
  } catch (error) {
    return {
      finding: {
        code: 'CONNTRACK_NETLINK_MISSING',
        message: `flows cannot be ended: ${error instanceof Error ? error.message : String(error)}`,
        remedy: 'load or enable CONFIG_NF_CT_NETLINK (Linux 5.8 or later), and run with CAP_NET_ADMIN',
      },
    };
  }
}

function firstLine(log: string): string {
  return log.split('\n', 1)[0] ?? '';
}
