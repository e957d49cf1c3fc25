import { describe, expect, it } from 'vitest';
import { catalogue } from '../catalogue.ts';
import { type Check, read, unread } from '../check.ts';
import { type BpfFacts, judgeBpf, judgeBpffs, judgeLibbpf } from './bpf.ts';
import { judgeClock } from './clock.ts';
import { type ConntrackFacts, judgeConntrack } from './conntrack.ts';
import { judgeMachines, judgeNeighbourTable, type Machine, type Way } from './machines.ts';
import { judgeFlowtable, judgeNft } from './nft.ts';
import { judgeBridges, judgeSettings } from './settings.ts';

const troubles = (checks: readonly Check[]) =>
  checks
    .filter(({ status }) => status !== 'ok')
    .map(({ code, subject, status, remedy }) => [code, subject, status, remedy]);

it('the catalogue says of every trouble why it matters, in one sentence', () => {
  for (const [code, { about, why }] of Object.entries(catalogue)) {
    expect(code).toMatch(/^[A-Z][A-Z_]+$/);
    expect(about.length).toBeGreaterThan(2);
    expect(why).toMatch(/^[a-zA-Z].*[^.]$/);
  }
});

describe('settings', () => {
  const open = {
    'net.ipv4.ip_forward': '1',
    'net.ipv6.conf.all.forwarding': '1',
    'net.ipv4.conf.all.rp_filter': '0',
    'net.ipv4.conf.eth0.rp_filter': '0',
    'net.ipv4.conf.all.accept_local': '0',
    'net.ipv4.conf.eth0.accept_local': '1',
    'net.ipv4.conf.eth0.forwarding': '1',
    'net.ipv6.conf.eth0.forwarding': '1',
  };
  const judge = (
    change: Readonly<Record<string, string>>,
    agentRuns = true,
    xdp = true,
    receiving = ['eth0'],
  ) =>
    troubles(
      judgeSettings(new Map(Object.entries({ ...open, ...change })), ['eth0'], { xdp, agentRuns, receiving }),
    );

  it('are fine on an open gateway', () => {
    expect(judge({})).toEqual([]);
  });

  it('forwarding off is an error while the agent runs, which else sets it when it starts', () => {
    const expected = ['FORWARDING_OFF', 'IPv4', 'error', 'sysctl -w net.ipv4.ip_forward=1'];
    expect(judge({ 'net.ipv4.ip_forward': '0' })).toEqual([expected]);
    expect(judge({ 'net.ipv4.ip_forward': '0' }, false)).toEqual([expected.with(2, 'info')]);
    expect(judge({ 'net.ipv6.conf.eth0.forwarding': '0' })).toEqual([
      ['FORWARDING_OFF', 'eth0', 'error', 'sysctl -w net.ipv6.conf.eth0.forwarding=1'],
    ]);
  });

  it.each([
    ['1', '0', true],
    ['0', '1', true],
    ['1', '2', false],
    ['2', '1', false],
    ['0', '0', false],
  ])('the larger of two reverse path filters counts: %s for all, %s of its own', (all, own, strict) => {
    const change = { 'net.ipv4.conf.all.rp_filter': all, 'net.ipv4.conf.eth0.rp_filter': own };
    const expected = ['RP_FILTER_STRICT', 'eth0', 'error', 'sysctl -w net.ipv4.conf.eth0.rp_filter=2'];
    expect(judge(change)).toEqual(strict ? [expected] : []);
    expect(judge(change, true, false)).toEqual(strict ? [expected.with(2, 'warning')] : []);
  });

  it('local sources matter to XDP alone, and while the agent runs', () => {
    const closed = { 'net.ipv4.conf.eth0.accept_local': '0' };
    expect(judge(closed)).toEqual([
      ['ACCEPT_LOCAL_OFF', 'eth0', 'error', 'sysctl -w net.ipv4.conf.eth0.accept_local=1'],
    ]);
    expect(judge(closed, false)).toEqual([]);
    expect(judge(closed, true, true, [])).toEqual([]);
    expect(judge(closed, true, false)).toEqual([]);
    expect(judge({ ...closed, 'net.ipv4.conf.all.accept_local': '1' })).toEqual([]);
  });

  it('of bridges matter where there is one', () => {
    const on = new Map([['net.bridge.bridge-nf-call-iptables', '1']]);
    const bridge = { name: 'br0', bridgeNetfilter: false };
    expect(troubles(judgeBridges(on, []))).toEqual([]);
    expect(troubles(judgeBridges(on, [bridge]))).toEqual([
      ['BRIDGE_NETFILTER_ON', 'br0', 'warning', 'sysctl -w net.bridge.bridge-nf-call-iptables=0'],
    ]);
    expect(troubles(judgeBridges(new Map(), [{ ...bridge, bridgeNetfilter: true }]))[0]?.[3]).toBe(
      'ip link set dev br0 type bridge nf_call_iptables 0 nf_call_ip6tables 0',
    );
    expect(troubles(judgeBridges(new Map(), [bridge]))).toEqual([]);
  });
});

describe('conntrack', () => {
  const roomy: ConntrackFacts = {
    count: 100,
    most: 262_144,
    buckets: 262_144,
    loose: 1,
    liberal: 1,
    elsewhere: false,
  };
  const judge = (change: Partial<ConntrackFacts>, targets = 0, xdp = true) =>
    troubles(judgeConntrack(read({ ...roomy, ...change }), { targets, xdp }));

  it('is fine with room', () => {
    expect(judge({})).toEqual([]);
    expect(judge({ most: 0 })).toEqual([]);
  });

  it('that fills up warns, and is an error when full', () => {
    const remedy = 'sysctl -w net.netfilter.nf_conntrack_max=1048576';
    expect(judge({ count: 196_609 })).toEqual([['CONNTRACK_FULL', '', 'warning', remedy]]);
    expect(judge({ count: 262_144 })).toEqual([['CONNTRACK_FULL', '', 'error', remedy]]);
  });

  it('is measured by what is declared', () => {
    const remedy = 'sysctl -w net.netfilter.nf_conntrack_max=8388608';
    expect(judge({}, 100_000)).toEqual([['CONNTRACK_SMALL', '', 'warning', remedy]]);
    expect(judge({ most: 8_388_608, buckets: 4_194_304 }, 100_000)).toEqual([]);
    expect(judge({ most: 4096 })).toEqual([
      ['CONNTRACK_SMALL', '', 'warning', 'sysctl -w net.netfilter.nf_conntrack_max=65536'],
    ]);
  });

  it('wants buckets', () => {
    expect(judge({ buckets: 16_384 })).toEqual([
      ['CONNTRACK_BUCKETS_FEW', '', 'warning', 'sysctl -w net.netfilter.nf_conntrack_buckets=131072'],
    ]);
  });

  it('is sized on the host where this is a namespace of it', () => {
    expect(judge({ most: 4096, elsewhere: true })[0]?.[3]).toMatch(
      /^nsenter --net=\/proc\/1\/ns\/net sysctl /,
    );
  });

  it('has to take flows in the middle; out of window for XDP alone', () => {
    const loose = 'sysctl -w net.netfilter.nf_conntrack_tcp_loose=1';
    const liberal = 'sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1';
    expect(judge({ loose: 0, liberal: 0 })).toEqual([
      ['TCP_LOOSE_OFF', '', 'warning', loose],
      ['TCP_BE_LIBERAL_OFF', '', 'warning', liberal],
    ]);
    expect(judge({ loose: 0, liberal: 0 }, 0, false)).toEqual([['TCP_LOOSE_OFF', '', 'warning', loose]]);
  });
});

describe('machines', () => {
  const machine = (address: string, more: Partial<Machine> = {}): Machine => ({
    address,
    member: { loadBalancer: 'shop', pool: 'vms', id: `vm-${address.split(/[.:]/).at(-1)}` },
    down: false,
    ...more,
  });
  const neighbour = (address: string, state: 'known' | 'silent' | 'unasked'): Way => ({
    kind: 'neighbour',
    address,
    link: 'lan0',
    state,
  });

  it('that do not answer are named, with the way to take them out', () => {
    const machines = ['10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.7'].map((address) => machine(address));
    const ways = new Map<string, Way>([
      ['10.0.0.4', neighbour('10.0.0.4', 'known')],
      ['10.0.0.5', neighbour('10.0.0.5', 'silent')],
      ['10.0.0.6', { kind: 'unrouted' }],
      ['10.0.0.7', neighbour('10.0.0.1', 'silent')],
    ]);
    expect(troubles(judgeMachines(machines, read(ways)))).toEqual([
      [
        'MACHINE_UNREACHABLE',
        '10.0.0.5',
        'error',
        'start the machine; until then: penstock member add shop vms vm-5=10.0.0.5 --admin-state DOWN',
      ],
      ['MACHINE_UNROUTED', '10.0.0.6', 'error', 'ip route add 10.0.0.6/32 via ROUTER'],
      [
        'MACHINE_UNREACHABLE',
        '10.0.0.7',
        'error',
        expect.stringMatching(/^start 10\.0\.0\.1, or mend the route/),
      ],
    ]);
  });

  it('that were taken out need not answer', () => {
    const ways = new Map([['10.0.0.5', neighbour('10.0.0.5', 'silent')]]);
    expect(troubles(judgeMachines([machine('10.0.0.5', { down: true })], read(ways)))[0]?.[2]).toBe('info');
  });

  it('that nobody asked for are unknown', () => {
    const ways = new Map([['10.0.0.5', neighbour('10.0.0.5', 'unasked')]]);
    expect(troubles(judgeMachines([machine('10.0.0.5')], read(ways)))[0]?.[2]).toBe('unknown');
    expect(troubles(judgeMachines([machine('10.0.0.5')], unread('no ip')))[0]?.[2]).toBe('unknown');
  });

  it('are summed up when they are many', () => {
    const machines = Array.from({ length: 50 }, (_, index) => machine(`10.0.0.${index + 1}`));
    const ways = new Map(machines.map(({ address }) => [address, neighbour(address, 'silent')]));
    const found = troubles(judgeMachines(machines, read(ways)));
    expect(found).toHaveLength(21);
  });

  it('have to fit into the neighbour table', () => {
    const machines = Array.from({ length: 600 }, (_, index) => machine(`10.0.${index >> 8}.${index & 255}`));
    expect(troubles(judgeNeighbourTable(machines, { ipv4: 1024, ipv6: 1024 }))).toEqual([
      [
        'NEIGHBOUR_TABLE_SMALL',
        'IPv4',
        'warning',
        'sysctl -w net.ipv4.neigh.default.gc_thresh3=4096 net.ipv4.neigh.default.gc_thresh2=2048',
      ],
    ]);
    expect(judgeNeighbourTable(machines, {})).toEqual([]);
  });
});

describe('the kernel', () => {
  const works = { kind: 'works' } as const;
  const all: BpfFacts = {
    call: works,
    mapped: works,
    xdp: works,
    frags: works,
    jit: works,
    atomics: works,
    btf: works,
    link: works,
  };

  it('that takes all of it is fine', () => {
    expect(troubles(judgeBpf(read(all)))).toEqual([]);
  });

  it('that refuses a piece is told, with its own words', () => {
    const [check] = judgeBpf(
      read({ ...all, link: { kind: 'refused', words: 'invalid argument (EINVAL)' } }),
    ).filter(({ status }) => status !== 'ok');
    expect(check).toMatchObject({ code: 'XDP_LINK_MISSING', status: 'error' });
    expect(check?.message).toContain('EINVAL');
    expect(
      troubles(judgeBpf(read({ ...all, jit: { kind: 'refused', words: 'it is interpreted' } }))),
    ).toEqual([['BPF_JIT_OFF', '', 'warning', 'sysctl -w net.core.bpf_jit_enable=1']]);
  });

  it('that may not be tried is unknown, not fine', () => {
    const [first, ...others] = judgeBpf(
      read({ ...all, call: { kind: 'denied' }, xdp: { kind: 'untried' }, link: { kind: 'untried' } }),
    ).filter(({ code }) => ['BPF_MISSING', 'XDP_MISSING', 'XDP_LINK_MISSING'].includes(code));
    expect(first).toMatchObject({ code: 'BPF_MISSING', status: 'unknown' });
    expect(first?.remedy).toContain('sudo');
    expect(others).toEqual([]);
  });

  it('libbpf and its file system', () => {
    expect(troubles(judgeLibbpf(read({ words: 'no such file' })))).toEqual([
      ['LIBBPF_MISSING', '', 'error', 'apt-get install libbpf1'],
    ]);
    expect(troubles(judgeBpffs(read(false)))).toEqual([
      ['BPFFS_MISSING', '/sys/fs/bpf', 'info', 'mount -t bpf bpf /sys/fs/bpf'],
    ]);
  });

  it('says of nft what the agent’s own trials found', () => {
    const finding = { code: 'NFT_HASH_MISSING', message: 'no jhash', remedy: 'enable CONFIG_NFT_HASH' };
    expect(troubles(judgeNft({ version: 'nftables v1', findings: [finding] }))).toEqual([
      ['NFT_HASH_MISSING', '', 'error', 'enable CONFIG_NFT_HASH'],
    ]);
    const denied = { code: 'NFT_NOT_PERMITTED', message: 'not allowed', remedy: '' };
    const checks = judgeNft({ version: 'nftables v1', findings: [denied] });
    expect(checks.map(({ code, status }) => [code, status])).toEqual([
      ['NFT_MISSING', 'ok'],
      ['NFT_RULESET_REFUSED', 'unknown'],
    ]);
    const older = judgeNft({ version: 'nftables v1', flowDeletion: 'one-by-one', findings: [] });
    expect(older.find(({ code }) => code === 'CONNTRACK_NETLINK_MISSING')).toMatchObject({
      status: 'ok',
      message: 'flows can be ended, one by one',
    });
  });
});

it('a flowtable is worth knowing of, whether there can be one or not', () => {
  const devices = ['eth0', 'eth1'];
  expect(troubles(judgeFlowtable(read({ devices })))).toEqual([]);
  expect(judgeFlowtable(read({ devices }))[0]?.message).toContain('on eth0, eth1: ');
  const refused = judgeFlowtable(read({ devices, refusal: 'the kernel refuses it' }));
  expect(refused).toMatchObject([{ status: 'info', message: 'the kernel refuses it' }]);
  expect(judgeFlowtable(unread('no permission'))).toMatchObject([{ status: 'unknown' }]);
});

it('a clock ought to be right, and cheap to read', () => {
  const sources = ['kvm-clock', 'hpet'];
  expect(troubles(judgeClock({ synchronised: true, source: 'tsc', sources }, true))).toEqual([]);
  expect(troubles(judgeClock({ synchronised: false, source: 'hpet', sources }, true))).toEqual([
    ['CLOCK_UNSYNCHRONISED', '', 'info', 'apt-get install chrony'],
    [
      'CLOCKSOURCE_SLOW',
      '',
      'warning',
      'echo kvm-clock >/sys/devices/system/clocksource/clocksource0/current_clocksource',
    ],
  ]);
});
