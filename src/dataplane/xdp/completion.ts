// What nftables needs beside the forwarding table when XDP stands before it: a table of its own, `inet penstock_xdp`.
//
// The program translates what it knows but cannot send (no neighbour yet, to be fragmented) and leaves the sending to
// the kernel. Such a frame carries a secret source MAC address. It must not meet conntrack, which never saw its flow; and
// its source may be a frontend's address, which is local: so the interfaces accept local sources (sysctl accept_local),
// and everybody else who claims one is turned away here, as the kernel did before (RFC 1812, 5.3.7).
import { execa } from 'execa';
import { CommitFailed } from '../dataplane.ts';
import { runNft } from '../nftables/bulk.ts';

const table = 'penstock_xdp';
/** Before connection tracking (-200), after fragments have been put together (-400). */
const priority = -300;

export interface Completion {
  /** The secret source MAC address, as `02:00:5e:10:00:01`. */
  readonly mark: string;
  /** The interfaces that accept local sources. */
  readonly interfaces: readonly string[];
}

/** Puts the table in place of an earlier one, in one transaction; one like it is left alone. Throws `CommitFailed`. */
export async function loadCompletion(completion: Completion): Promise<void> {
  if (await completionStands(completion)) return;
  const outcome = await runNft(['-f', '-'], completionText(completion));
  if (outcome.kind !== 'done') throw new CommitFailed(`nft refuses the table ${table}`, outcome.log);
}

/** Removes the table, if it stands. Throws `CommitFailed`. */
export async function removeCompletion(): Promise<void> {
  const outcome = await runNft(['-f', '-'], `${empty}delete table inet ${table}\n`);
  if (outcome.kind !== 'done') throw new CommitFailed(`the table ${table} cannot be removed`, outcome.log);
}

/** Whether the table stands, with these interfaces, these rules and no others. */
export async function completionStands(completion: Completion): Promise<boolean> {
  const listed = await listCompletion();
  return listed !== undefined && isListing(listed, completion);
}

/** Whether `nft list table` has printed this table: in its words, its elements in any order. */
export function isListing(listed: string, { mark, interfaces }: Completion): boolean {
  const elements = /elements = \{([^}]*)\}/.exec(listed)?.[1] ?? '';
  const names = [...elements.matchAll(/"([^"]*)"/g)].map(([, name]) => name ?? '');
  const chain =
    /type filter hook prerouting priority [^;]*; policy accept;\n([^}]*)\}/.exec(listed)?.[1] ?? '';
  const rules = chain.split('\n').flatMap((line) => line.trim() || []);
  const [first = '', second = ''] = rules;
  // Versions of nft may print the same rule in other words.
  return (
    !listed.includes('flags dormant') &&
    names.toSorted().join() === interfaces.toSorted().join() &&
    rules.length === 2 &&
    first.includes(mark) &&
    first.includes('notrack') &&
    second.includes('fib saddr type local drop')
  );
}

async function listCompletion(): Promise<string | undefined> {
  const { exitCode, stdout } = await execa('nft', ['list', 'table', 'inet', table], { reject: false });
  return exitCode === 0 ? stdout : undefined;
}

/** Defined whether or not it stood before, so that it can be deleted. */
const empty = `table inet ${table} {\n}\n`;

function completionText({ mark, interfaces }: Completion): string {
  const names = interfaces.map((name) => `"${name}"`).join(', ');
  return `${empty}delete table inet ${table}
table inet ${table} {
  set interfaces {
    type ifname
    ${names === '' ? '' : `elements = { ${names} }`}
  }
  chain prerouting {
    type filter hook prerouting priority ${priority}; policy accept;
    ether saddr ${mark} notrack accept
    iifname @interfaces meta nfproto ipv4 fib saddr type local drop
  }
}
`;
}
