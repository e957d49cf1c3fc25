// Looks at the host: reads what there is, then judges it. Changes nothing; made for both planes, agent running or not.
import { availableParallelism } from 'node:os';
import { execa } from 'execa';
import { type FlowDeletion, flowsOver } from '../dataplane/conntrack/flows.ts';
import { openNetlinkSocket } from '../dataplane/netlink/socket.ts';
import { presentDevices, refusedFastPath } from '../dataplane/nftables/fast-path.ts';
import { flowMarks } from '../dataplane/nftables/plane.ts';
import { probeFlows, probeNft, probeRuleset } from '../dataplane/nftables/probe.ts';
import { possibleCpus } from '../dataplane/xdp/settings.ts';
import { asRoot, type Check, fine, found, type Reading, read, type Status, unread } from './check.ts';
import { judgeBpf, judgeBpffs, judgeLibbpf } from './judge/bpf.ts';
import { judgeClock } from './judge/clock.ts';
import { judgeConntrack } from './judge/conntrack.ts';
import { type Interface, judgeXdpInterface } from './judge/interface.ts';
import { judgeMachines, judgeNeighbourTable, type Machine } from './judge/machines.ts';
import { type FlowtableFacts, judgeFlowtable, judgeNft, type NftFacts } from './judge/nft.ts';
import { judgeMerging, judgeQueues, judgeVethChecksum } from './judge/offloads.ts';
import { judgeBridges, judgeSettings, settingNames } from './judge/settings.ts';
import { tryBpf } from './read/bpf.ts';
import {
  readBpffs,
  readClock,
  readConntrack,
  readLibbpf,
  readNeighbourLimits,
  readSettings,
} from './read/host.ts';
import { type Libc, openLibc } from './read/libc.ts';
import { readInterfaces } from './read/links.ts';
import { linkOfProgram, ownPrograms } from './read/programs.ts';
import { readWays } from './read/ways.ts';

/** What the agent says, where it runs. */
export interface AgentFacts {
  readonly machines: readonly Machine[];
  /** Mappings and members declared. */
  readonly targets: number;
  /** Interfaces that its XDP plane receives from; empty for nftables. */
  readonly interfaces: readonly ReceivingInterface[];
}

export interface ReceivingInterface {
  readonly name: string;
  /** `native`, `generic` or `off`. */
  readonly mode: string;
  /** Why it is not native, in the words of the driver or the kernel. */
  readonly reason: string;
}

export interface Examination {
  readonly plane: 'nftables' | 'xdp';
  /** Looks at these; empty for all that are up and carry routes, and those that the agent names. */
  readonly interfaces: readonly string[];
  /** Or why it cannot be asked, in words. */
  readonly agent: AgentFacts | { readonly absent: string; readonly remedy: string };
}

export interface Diagnosis {
  readonly plane: 'nftables' | 'xdp';
  readonly agentRuns: boolean;
  /** Those looked at. */
  readonly interfaces: readonly string[];
  /** The worst first. */
  readonly checks: readonly Check[];
}

const order: readonly Status[] = ['error', 'warning', 'unknown', 'info', 'ok'];

/** Never throws for what is wrong with the host; takes up to five seconds where machines do not answer. */
export async function examine({ plane, interfaces: named, agent }: Examination): Promise<Diagnosis> {
  const running = 'machines' in agent ? agent : undefined;
  const xdp = plane === 'xdp';
  const receiving = running?.interfaces.map(({ name }) => name) ?? [];
  const root = process.getuid?.() === 0;
  const libc = await openLibc().catch(() => undefined);
  const checks: Check[] = [
    'machines' in agent
      ? fine('AGENT_UNREACHABLE', '', 'the agent runs')
      : found('AGENT_UNREACHABLE', '', agent.absent, agent.remedy),
  ];
  const parts = [readNft(), readLinks(libc), readClock(libc)] as const;
  const [nft, links, clock] = await Promise.all(parts);
  // After nft, whose trials make the kernel load conntrack where it is a module.
  const conntrack = await readConntrack();
  checks.push(...judgeNft(nft));
  if (!xdp && nft.version !== undefined) checks.push(...judgeFlowtable(await readFlowtable(root)));
  if (xdp) checks.push(...(await examineBpf(libc)));

  let looked: readonly Interface[] = [];
  if ('missing' in links) {
    checks.push(found('IPROUTE_MISSING', '', links.missing, 'apt-get install iproute2'));
  } else {
    looked = choose(links.all, named.length > 0 ? named : receiving);
    checks.push(fine('IPROUTE_MISSING', '', 'the program ip works'));
    checks.push(...judgeNamed(links.all, named));
    checks.push(...(await examineLinks(libc, links.all, looked, xdp)));
    checks.push(...judgeModes(running?.interfaces ?? [], checks));
  }
  const routed = 'all' in links ? routedOver(links.all, looked, named.length > 0) : [];
  const settings = await readSettings(settingNames(routed));
  checks.push(...judgeSettings(settings, routed, { xdp, agentRuns: running !== undefined, receiving }));
  if ('all' in links) {
    const bridges = links.all.filter(({ kind }) => kind === 'bridge');
    checks.push(...judgeBridges(settings, bridges));
  }
  checks.push(...judgeConntrack(conntrack, { targets: running?.targets ?? 0, xdp }));
  if (running !== undefined && 'all' in links) {
    const ways = await readWays([...new Set(running.machines.map(({ address }) => address))], root).then(
      read,
      (error: unknown) => unread(words(error), asRoot),
    );
    checks.push(...judgeMachines(running.machines, ways));
    checks.push(...judgeNeighbourTable(running.machines, await readNeighbourLimits()));
  }
  checks.push(...judgeClock(clock, xdp));
  return {
    plane,
    agentRuns: running !== undefined,
    interfaces: looked.map(({ name }) => name),
    checks: checks.toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status)),
  };
}

async function readNft(): Promise<NftFacts> {
  const nft = await probeNft();
  const findings = 'finding' in nft ? [nft.finding] : [...(await probeRuleset())];
  let flowDeletion: FlowDeletion | undefined;
  // Without the permission the one answer says enough.
  if (!findings.some(({ code }) => code === 'NFT_NOT_PERMITTED')) {
    try {
      const socket = await openNetlinkSocket();
      const ending = await probeFlows(flowsOver(socket, flowMarks));
      if ('finding' in ending) findings.push(ending.finding);
      else flowDeletion = ending.deletion;
      socket.close();
    } catch (error) {
      const remedy = 'run on Linux with glibc on a platform that the npm package koffi is built for';
      findings.push({ code: 'CONNTRACK_NETLINK_MISSING', message: words(error), remedy });
    }
  }
  return {
    ...('version' in nft ? { version: nft.version } : {}),
    ...(flowDeletion && { flowDeletion }),
    findings,
  };
}

async function readFlowtable(root: boolean): Promise<Reading<FlowtableFacts>> {
  if (!root) return unread('only root can try whether the kernel takes a flowtable', asRoot);
  try {
    const devices = await presentDevices();
    const refusal = await refusedFastPath(devices);
    return read({ devices, ...(refusal !== undefined && { refusal }) });
  } catch (error) {
    return unread(words(error));
  }
}

async function readLinks(
  libc: Libc | undefined,
): Promise<{ readonly all: readonly Interface[] } | { readonly missing: string }> {
  try {
    return { all: await readInterfaces(libc) };
  } catch (error) {
    return { missing: `the program ip cannot be run: ${words(error)}` };
  }
}

/** Those named, else those that are up and carry routes; and what a VLAN or a bond among them stands on. */
function choose(all: readonly Interface[], named: readonly string[]): readonly Interface[] {
  const chosen = new Set(
    named.length > 0 ? named : all.filter(({ up, routed }) => up && routed).map(({ name }) => name),
  );
  for (const { name, below, master } of all) {
    if (chosen.has(name) && below !== '') chosen.add(below);
    if (all.some((bond) => bond.name === master && bond.kind === 'bond' && chosen.has(master)))
      chosen.add(name);
  }
  return all.filter(({ name }) => chosen.has(name));
}

/** Interfaces whose settings count: of VLANs and bonds it is those above that packets are routed from. */
function routedOver(
  all: readonly Interface[],
  looked: readonly Interface[],
  alone: boolean,
): readonly string[] {
  const chosen = new Set(looked.map(({ name }) => name));
  const masters = new Set(looked.map(({ master }) => master));
  return all
    .filter(({ up, routed }) => up && routed)
    .filter(({ name, below }) => !alone || chosen.has(name) || chosen.has(below) || masters.has(name))
    .map(({ name }) => name);
}

/** What the agent tells of interfaces that could run natively, and do not. */
function judgeModes(interfaces: readonly ReceivingInterface[], before: readonly Check[]): readonly Check[] {
  const code = 'XDP_GENERIC_ONLY';
  const known = new Set(
    before.filter((check) => check.code === code && check.status !== 'ok').map(({ subject }) => subject),
  );
  return interfaces
    .filter(({ name, mode }) => mode !== 'native' && !known.has(name))
    .map(({ name, mode, reason }) =>
      found(
        code,
        name,
        `the agent’s program runs in the mode ${mode} there: ${reason || 'no reason is known'}`,
        'mend what the other findings say of it, then: systemctl restart penstock',
      ),
    );
}

function judgeNamed(all: readonly Interface[], named: readonly string[]): readonly Check[] {
  return named.flatMap((name): readonly Check[] => {
    const one = all.find((candidate) => candidate.name === name);
    if (one === undefined) {
      const others = all.map((other) => other.name).join(', ');
      return [found('INTERFACE_MISSING', name, 'there is no such interface', `name another one: ${others}`)];
    }
    if (one.up) return [fine('INTERFACE_DOWN', name, 'the interface is up')];
    return [found('INTERFACE_DOWN', name, 'the interface is down', `ip link set dev ${name} up`)];
  });
}

async function examineBpf(libc: Libc | undefined): Promise<readonly Check[]> {
  const facts = libc === undefined ? unread('koffi has no build for this platform') : read(tryBpf(libc));
  return [...judgeBpf(facts), ...judgeLibbpf(await readLibbpf()), ...judgeBpffs(await readBpffs())];
}

async function examineLinks(
  libc: Libc | undefined,
  all: readonly Interface[],
  looked: readonly Interface[],
  xdp: boolean,
): Promise<readonly Check[]> {
  const cpus = { online: availableParallelism(), possible: possibleCpus() };
  const both = looked.flatMap((one) => [...judgeMerging(one), ...judgeQueues(one, cpus, xdp)]);
  if (!xdp) return both;
  const own = libc === undefined ? new Set<number>() : await ownPrograms(libc);
  const pageSize = Number((await execa('getconf', ['PAGE_SIZE'], { reject: false })).stdout) || 4096;
  const held = looked.map((one) => (libc === undefined ? one : withLink(libc, one)));
  return [
    ...both,
    ...held.flatMap((one) => judgeXdpInterface(one, { all, ownPrograms: own, pageSize })),
    ...held.flatMap(judgeVethChecksum),
  ];
}

function withLink(libc: Libc, one: Interface): Interface {
  const link = one.program === undefined ? undefined : linkOfProgram(libc, one.program.id);
  return one.program === undefined || link === undefined
    ? one
    : { ...one, program: { ...one.program, link } };
}

function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'shortMessage' in error ? String(error.shortMessage) : error.message;
}
