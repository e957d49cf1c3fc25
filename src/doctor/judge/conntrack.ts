// Whether conntrack has room, and treats flows as the data plane needs it.
import { type Check, fine, found, type Reading, unknown } from '../check.ts';

export interface ConntrackFacts {
  /** Entries that there are in this network, and the most that there may be. */
  readonly count: number;
  readonly most: number;
  readonly buckets: number;
  /** 0 or 1; undefined where the kernel has no such setting. */
  readonly loose?: number;
  readonly liberal?: number;
  /** The sizes are the host's, and this is a network namespace of it. */
  readonly elsewhere: boolean;
}

/** Flows that a mapping or member is given room for. */
const flowsPerTarget = 64;
const least = 65_536;
const fullAt = 0.9;
const fillingAt = 0.75;
const longestChain = 4;

/** `targets` is the number of mappings and members declared. */
export function judgeConntrack(
  reading: Reading<ConntrackFacts>,
  { targets, xdp }: { readonly targets: number; readonly xdp: boolean },
): readonly Check[] {
  if (reading.kind === 'unknown') return [unknown('CONNTRACK_FULL', '', reading)];
  const facts = reading.value;
  return [...judgeFill(facts), ...judgeSize(facts, targets), ...judgeBuckets(facts), ...judgeTcp(facts, xdp)];
}

function judgeFill(facts: ConntrackFacts): readonly Check[] {
  const { count, most } = facts;
  const code = 'CONNTRACK_FULL';
  const fill = most === 0 ? 0 : count / most;
  const message = `${count} of ${most} entries are taken (${Math.floor(fill * 100)} %)`;
  if (fill < fillingAt) return [fine(code, '', message)];
  const remedy = setMost(facts, powerOfTwo(count * 4));
  return [found(code, '', message, remedy, fill < fullAt ? 'warning' : 'error')];
}

function judgeSize(facts: ConntrackFacts, targets: number): readonly Check[] {
  const { most } = facts;
  const code = 'CONNTRACK_SMALL';
  const wanted = Math.max(least, targets * flowsPerTarget);
  // 0 is without a limit.
  if (most === 0 || most >= wanted) return [fine(code, '', `room for ${most} flows`)];
  const reason =
    wanted === least
      ? 'a gateway ought to have'
      : `${targets} mappings and members at ${flowsPerTarget} flows each make`;
  const message = `room for ${most} flows, while ${reason} ${wanted}`;
  return [found(code, '', message, setMost(facts, powerOfTwo(wanted)))];
}

function judgeBuckets(facts: ConntrackFacts): readonly Check[] {
  const { most, buckets } = facts;
  const code = 'CONNTRACK_BUCKETS_FEW';
  if (buckets === 0 || most / buckets <= longestChain) return [fine(code, '', `${buckets} buckets`)];
  const message = `${buckets} buckets for ${most} entries make chains of up to ${Math.ceil(most / buckets)}`;
  const remedy = `${onHost(facts)}sysctl -w net.netfilter.nf_conntrack_buckets=${powerOfTwo(most / 2)}`;
  return [found(code, '', message, remedy)];
}

function judgeTcp({ loose, liberal }: ConntrackFacts, xdp: boolean): readonly Check[] {
  const judge = (
    code: 'TCP_LOOSE_OFF' | 'TCP_BE_LIBERAL_OFF',
    name: string,
    value: number | undefined,
  ): readonly Check[] => {
    if (value === undefined) return [];
    if (value !== 0) return [fine(code, '', `${name} is ${value}`)];
    return [found(code, '', `${name} is 0`, `sysctl -w ${name}=1`)];
  };
  return [
    ...judge('TCP_LOOSE_OFF', 'net.netfilter.nf_conntrack_tcp_loose', loose),
    // With nftables alone conntrack sees every packet, and its checks are welcome.
    ...(xdp ? judge('TCP_BE_LIBERAL_OFF', 'net.netfilter.nf_conntrack_tcp_be_liberal', liberal) : []),
  ];
}

function setMost(facts: ConntrackFacts, value: number): string {
  return `${onHost(facts)}sysctl -w net.netfilter.nf_conntrack_max=${value}`;
}

function onHost({ elsewhere }: ConntrackFacts): string {
  return elsewhere ? 'nsenter --net=/proc/1/ns/net ' : '';
}

function powerOfTwo(number: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(least, number)));
}
