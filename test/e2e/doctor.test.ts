// `penstock doctor` on a host that is made sick on purpose: each trouble is named, and its own remedy mends it.
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { catalogue } from '../../src/doctor/catalogue.ts';
import { attachLink, attachProgram } from './support/foreign-program.ts';
import { SickHost, troubleOf } from './support/sick-host.ts';

let host: SickHost;

beforeAll(async () => {
  host = await SickHost.up();
});

afterAll(async () => {
  await host?.down();
});

const xdp = ['--dataplane', 'xdp', '--interface', 'v0'];

describe('a healthy host', () => {
  it.each([
    ['nftables', ['--interface', 'v0']],
    ['xdp', xdp],
  ])('has no errors and no warnings: %s', async (plane, args) => {
    const { exitCode, dataPlane, agentRunning, interfaces, summary, checks } = await host.diagnose(args);
    const troubles = checks.filter(({ status }) => status === 'error' || status === 'warning');
    expect(troubles).toEqual([]);
    expect([exitCode, dataPlane, agentRunning, interfaces]).toEqual([0, plane, false, ['v0']]);
    expect(summary).toMatchObject({ error: 0, warning: 0, unknown: 0 });
    expect(summary.ok).toBeGreaterThan(10);
    expect(checks.find(({ code }) => code === 'NFT_RULESET_REFUSED')?.status).toBe('ok');
  });

  it('takes the interfaces that carry routes, and none besides', async () => {
    expect((await host.diagnose()).interfaces).toEqual(['v0']);
  });

  it('shows what is fine in a line, all of it with -o wide, and the same as YAML', async () => {
    const run = async (...args: readonly string[]) =>
      await host.sh(`PENSTOCK_ADDRESS=unix:/nowhere scripts/penstock doctor ${args.join(' ')}`);
    const table = await run(...xdp);
    expect(table).toMatch(/^fine .*nft.*, bpf_link/m);
    expect(table).toMatch(
      /^xdp, agent not reached, v0: 0 errors, 0 warnings, 0 unknown, \d+ of \d+ checks fine$/m,
    );
    expect(await run('-o wide')).toMatch(/^MTU +v0 +MTU 1500$|^nft +- +nftables/m);
    expect(parse(await run('-o yaml'))).toMatchObject({ dataPlane: 'nftables', interfaces: ['v0'] });
  });
});

interface Row {
  readonly trouble: string;
  readonly code: keyof typeof catalogue;
  readonly subject: string;
  readonly status?: 'info' | 'warning' | 'error';
  readonly make: string;
  readonly args?: readonly string[];
  /** What the remedy begins with, where the names of this lab do not stand in it. */
  readonly remedy: string | RegExp;
  /** Takes away what the trouble was made with. */
  readonly after?: string;
}

const rows: readonly Row[] = [
  {
    trouble: 'a strict reverse path filter',
    code: 'RP_FILTER_STRICT',
    subject: 'v0',
    make: 'sysctl -qw net.ipv4.conf.v0.rp_filter=1',
    remedy: 'sysctl -w net.ipv4.conf.v0.rp_filter=2',
  },
  {
    trouble: 'a strict reverse path filter of all interfaces, on the XDP plane',
    code: 'RP_FILTER_STRICT',
    subject: 'v0',
    make: 'sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.v0.rp_filter=0',
    args: xdp,
    remedy: 'sysctl -w net.ipv4.conf.v0.rp_filter=2',
    after: 'sysctl -qw net.ipv4.conf.all.rp_filter=0',
  },
  {
    trouble: 'no forwarding of IPv4',
    code: 'FORWARDING_OFF',
    subject: 'IPv4',
    status: 'info',
    make: 'sysctl -qw net.ipv4.ip_forward=0',
    remedy: 'sysctl -w net.ipv4.ip_forward=1',
  },
  {
    trouble: 'no forwarding of IPv6',
    code: 'FORWARDING_OFF',
    subject: 'IPv6',
    status: 'info',
    make: 'sysctl -qw net.ipv6.conf.all.forwarding=0',
    remedy: 'sysctl -w net.ipv6.conf.all.forwarding=1',
  },
  {
    trouble: 'no forwarding from one interface',
    code: 'FORWARDING_OFF',
    subject: 'v0',
    make: 'sysctl -qw net.ipv4.conf.v0.forwarding=0',
    remedy: 'sysctl -w net.ipv4.conf.v0.forwarding=1',
  },
  {
    trouble: 'conntrack that takes no flow in the middle',
    code: 'TCP_LOOSE_OFF',
    subject: '',
    make: 'sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0',
    remedy: 'sysctl -w net.netfilter.nf_conntrack_tcp_loose=1',
  },
  {
    trouble: 'conntrack that minds the window, on the XDP plane',
    code: 'TCP_BE_LIBERAL_OFF',
    subject: '',
    make: 'sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=0',
    args: xdp,
    remedy: 'sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1',
  },
  {
    trouble: 'a bridge that hands its packets to netfilter',
    code: 'BRIDGE_NETFILTER_ON',
    subject: 'br0',
    make: 'ip link set dev br0 type bridge nf_call_iptables 1',
    remedy: 'ip link set dev br0 type bridge nf_call_iptables 0 nf_call_ip6tables 0',
  },
  {
    trouble: 'a veth whose peer has GRO off',
    code: 'XDP_TRANSMIT_MISSING',
    subject: 'v0',
    make: 'ip netns exec PEER ethtool -K p0 gro off',
    args: xdp,
    remedy: 'ip netns exec PEER ethtool -K p0 gro on',
  },
  {
    trouble: 'a veth whose peer leaves checksums unfinished',
    code: 'VETH_TX_CHECKSUM',
    subject: 'v0',
    make: 'ip netns exec PEER ethtool -K p0 tx on',
    args: xdp,
    remedy: 'ip netns exec PEER ethtool -K p0 tx off',
  },
  {
    trouble: 'fewer queues than CPUs',
    code: 'QUEUES_FEW',
    subject: 'q0',
    status: 'info',
    make: 'ip link add q0 numrxqueues 2 type veth peer name q1 && ethtool -L q0 rx 1',
    args: ['--interface', 'q0'],
    remedy: 'ethtool -L q0 rx 2',
    after: 'ip link delete q0',
  },
  {
    trouble: 'a veth with fewer queues than its peer sends by',
    code: 'XDP_GENERIC_ONLY',
    subject: 'q0',
    make: 'ip link add q0 numrxqueues 4 type veth peer name q1 numtxqueues 4 && ethtool -L q0 rx 1 && ethtool -L q1 tx 4 && ethtool -K q1 tx off >/dev/null',
    args: ['--dataplane', 'xdp', '--interface', 'q0'],
    remedy: 'ethtool -L q0 rx 4',
    after: 'ip link delete q0',
  },
  {
    trouble: 'an MTU above the page, where the driver takes no frames of several',
    code: 'MTU_ABOVE_PAGE',
    subject: 'x0',
    make: 'ip link add x0 mtu 9000 type vxlan id 5 dstport 4789 && ip link set x0 up',
    args: ['--dataplane', 'xdp', '--interface', 'x0'],
    remedy: /^ip link set dev x0 mtu \d+$/,
    after: 'ip link delete x0',
  },
  {
    trouble: 'an interface that is down',
    code: 'INTERFACE_DOWN',
    subject: 'd0',
    make: 'ip link add d0 type bridge',
    args: ['--interface', 'd0'],
    remedy: 'ip link set dev d0 up',
    after: 'ip link delete d0',
  },
];

describe('a trouble is named, and its remedy mends it', () => {
  const inLab = (text: string): string => text.replaceAll('PEER', host.peer);

  it.each(rows)('$trouble', async ({ code, subject, status, make, args = [], remedy, after }) => {
    await host.sh(inLab(make));
    try {
      const sick = await host.diagnose(args);
      const trouble = troubleOf(sick, code, subject);
      expect(trouble).toMatchObject({
        status: status ?? catalogue[code].severity,
        why: catalogue[code].why,
        remedy: typeof remedy === 'string' ? inLab(remedy) : expect.stringMatching(remedy),
      });
      expect(sick.exitCode).toBe(sick.summary.error === 0 ? 0 : 1);
      expect(sick.exitCode).toBe(trouble?.status === 'error' ? 1 : 0);
      await host.sh(trouble?.remedy ?? '');
      const mended = await host.diagnose(args);
      expect(troubleOf(mended, code, subject)).toBeUndefined();
      expect(mended.checks.some((check) => check.code === code && check.status === 'ok')).toBe(true);
    } finally {
      if (after !== undefined) await host.sh(inLab(after));
    }
  });

  it('the setting by which all bridges hand their packets to netfilter', async () => {
    const settings = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'];
    // Absent where the host has not loaded br_netfilter; then there is nothing to find.
    if ((await host.sh(`sysctl -eqn ${settings.join(' ')}`)) === '') {
      expect(troubleOf(await host.diagnose(), 'BRIDGE_NETFILTER_ON', 'br0')).toBeUndefined();
      return;
    }
    await host.sh(`sysctl -qw ${settings.join('=1 ')}=1`);
    const trouble = troubleOf(await host.diagnose(), 'BRIDGE_NETFILTER_ON', 'br0');
    expect(trouble?.remedy).toBe(`sysctl -w ${settings.join('=0 ')}=0`);
    await host.sh(trouble?.remedy ?? '');
    expect(troubleOf(await host.diagnose(), 'BRIDGE_NETFILTER_ON', 'br0')).toBeUndefined();
  });

  it('somebody else’s XDP program', async () => {
    await using _ = await attachProgram(host, 'v0');
    const sick = await host.diagnose(xdp);
    const trouble = troubleOf(sick, 'XDP_FOREIGN_PROGRAM', 'v0');
    expect(trouble?.message).toContain('“foreign”');
    expect([sick.exitCode, trouble?.status]).toEqual([1, 'error']);
    expect(trouble?.remedy).toBe('ip link set dev v0 xdp off');
    await host.sh(trouble?.remedy ?? '');
    expect(troubleOf(await host.diagnose(xdp), 'XDP_FOREIGN_PROGRAM', 'v0')).toBeUndefined();
  });

  it('one that is held by a link, which ip(8) cannot take off', async () => {
    {
      await using link = await attachLink(host, 'v0');
      const trouble = troubleOf(await host.diagnose(xdp), 'XDP_FOREIGN_PROGRAM', 'v0');
      expect(trouble?.remedy).toBe(`bpftool link detach id ${link.id}`);
      await expect(host.sh('ip link set dev v0 xdp off')).rejects.toThrow();
    }
    expect(troubleOf(await host.diagnose(xdp), 'XDP_FOREIGN_PROGRAM', 'v0')).toBeUndefined();
  });

  it('a full conntrack table', async () => {
    const most = Number(await host.sh('sysctl -n net.netfilter.nf_conntrack_max'));
    await host.sh(
      "nft 'table inet t { chain c { type filter hook output priority 0\n ct state new accept\n }\n }'",
    );
    await host.sh('sysctl -qw net.netfilter.nf_conntrack_udp_timeout=300');
    await host.sh(`python3 -c '${flood(Math.ceil(most * 0.92))}'`);
    const sick = await host.diagnose();
    const trouble = troubleOf(sick, 'CONNTRACK_FULL', '');
    expect([sick.exitCode, trouble?.status]).toEqual([1, 'error']);
    // The size is the host's, and not this test's to change.
    expect(trouble?.remedy).toMatch(
      /^nsenter --net=\/proc\/1\/ns\/net sysctl -w net\.netfilter\.nf_conntrack_max=\d+$/,
    );
    expect(Number(/\d+$/.exec(trouble?.remedy ?? '')?.[0])).toBeGreaterThan(most);
    await host.sh('conntrack -F 2>/dev/null; nft delete table inet t');
    expect(troubleOf(await host.diagnose(), 'CONNTRACK_FULL', '')).toBeUndefined();
  });
});

/** Python that opens so many UDP flows of this host to the peer's network. */
function flood(flows: number): string {
  return `
import socket
left = ${flows}
for source in range(1, 60):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.9.0.1", 20000 + source))
    for port in range(1024, 65000):
        if left == 0: raise SystemExit
        try: s.sendto(b"", ("10.9.0.2", port))
        except OSError: pass
        left -= 1
`;
}

describe('what is missing', () => {
  it.each([
    ['nft', 'NFT_MISSING', 'apt-get install nftables'],
    ['ip', 'IPROUTE_MISSING', 'apt-get install iproute2'],
  ])('%s', async (program, code, remedy) => {
    const bin = await mkdtemp(join(tmpdir(), 'penstock-doctor-'));
    try {
      for (const name of ['bash', 'env', 'dirname', 'readlink', 'getconf', 'nft', 'ip']) {
        const { stdout } = await execa('sh', ['-c', `command -v ${name}`]);
        if (name !== program) await symlink(stdout, join(bin, name));
      }
      const sick = await host.diagnose([], ['/usr/bin/env', `PATH=${bin}`]);
      expect(sick.exitCode).toBe(1);
      expect(troubleOf(sick, code, '')).toMatchObject({ status: 'error', remedy });
      await symlink((await execa('sh', ['-c', `command -v ${program}`])).stdout, join(bin, program));
      const mended = await host.diagnose([], ['/usr/bin/env', `PATH=${bin}`]);
      expect([mended.exitCode, troubleOf(mended, code, '')]).toEqual([0, undefined]);
    } finally {
      await rm(bin, { recursive: true });
    }
  });

  it('an interface, with the names that there are', async () => {
    const sick = await host.diagnose(['--interface', 'eth9']);
    expect(sick.exitCode).toBe(1);
    expect(troubleOf(sick, 'INTERFACE_MISSING', 'eth9')?.remedy).toContain('v0');
  });

  it('root: what only root sees is unknown, and not fine', async () => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all'];
    const { exitCode, checks, summary } = await host.diagnose(xdp, nobody);
    expect(exitCode).toBe(0);
    const unknown = checks.filter(({ status }) => status === 'unknown');
    expect(unknown.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['NFT_RULESET_REFUSED', 'BPF_MISSING', 'VETH_TX_CHECKSUM']),
    );
    expect(summary.unknown).toBe(unknown.length);
    expect(unknown.find(({ code }) => code === 'BPF_MISSING')?.remedy).toContain('sudo penstock doctor');
    for (const code of ['XDP_MISSING', 'XDP_LINK_MISSING', 'CONNTRACK_NETLINK_MISSING']) {
      expect(checks.some((check) => check.code === code && check.status === 'ok')).toBe(false);
    }
  });
});
