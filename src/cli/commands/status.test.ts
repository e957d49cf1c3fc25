import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';

const cli = commandUnderTest();

describe('status', () => {
  it('sums up what is probed, and says when probes are late', async () => {
    cli.gateway.status = { probes: { targets: 1_200, up: 1_190, down: 7, unknown: 3, flapping: 1 } };
    expect((await cli.penstock(['status'])).stdout).toContain(
      'probes           1,200 targets: 1,190 up, 7 down (1 flapping), 3 not known yet\n',
    );
    cli.gateway.status = { probes: { targets: 2, up: 2, lateness: { seconds: 1, nanos: 250_000_000 } } };
    expect((await cli.penstock(['status'])).stdout).toContain(
      'probes           2 targets: 2 up, 0 down, up to 1.3 s late\n',
    );
  });

  it('prints facts, then warnings with what mends them', async () => {
    cli.gateway.status = {
      version: '0.1.0',
      revision: 12,
      dataPlane: 'nftables',
      dataPlaneVersion: 'nftables v1.0.6',
      dataPlaneRevision: 11,
      portMappings: 3000,
      started: { seconds: 1_767_225_600 },
      warnings: [{ code: 'FORWARD_DROP', message: 'another table drops', remedy: 'nft delete it' }],
    };
    const { code, stdout } = await cli.penstock(['status']);
    expect(code).toBe(0);
    expect(stdout).toContain('data plane       nftables: nftables v1.0.6\n');
    expect(stdout).toContain('revision         12 (the kernel runs 11)\n');
    expect(stdout).toContain('port mappings    3,000\n');
    expect(stdout).toContain('  FORWARD_DROP: another table drops\n    nft delete it\n');
  });

  it('shows how the data plane sits on the host, and with -o wide all that it tells', async () => {
    cli.gateway.status = {
      dataPlane: 'xdp',
      interfaces: [
        { name: 'eth0', xdpMode: 'native', driver: 'ice', multiBuffer: true },
        { name: 'tap0', xdpMode: 'generic', driver: 'tun', reason: 'Operation not supported' },
      ],
      maps: [
        { name: 'frontends', bytes: 8192, capacity: 128, used: 32 },
        { name: 'reasons', bytes: 1024 },
      ],
      mapBytes: 9216,
      flowTable: { capacity: 262_144, used: 12, open: 3 },
      packetReasons: [
        { reason: 'forwarded', outcome: 'forwarded', packets: 1000 },
        { reason: 'fragment', outcome: 'handed-up', packets: 2 },
        { reason: 'hop-limit', outcome: 'handed-up', packets: 3 },
        { reason: 'flow-displaced', outcome: 'event', packets: 4 },
      ],
      notes: ['next hops are asked for each packet: there are policy rules'],
    };
    const { stdout } = await cli.penstock(['status']);
    expect(stdout).toContain('interface        eth0: XDP native, ice, jumbo frames\n');
    expect(stdout).toContain('interface        tap0: XDP generic, tun (Operation not supported)\n');
    expect(stdout).toContain('flow table       12 of 262,144 flows (0.1 %), 3 open\n');
    expect(stdout).toContain('map memory       9.0 KiB in 2 maps, fullest frontends (25 %)\n');
    expect(stdout).toContain('packets          1,000 forwarded, 5 handed up, 0 routed, 0 dropped\n');
    expect(stdout).toContain(
      'note             next hops are asked for each packet: there are policy rules\n',
    );
    expect(stdout).not.toContain('hop-limit');
    const wide = (await cli.penstock(['status', '-o', 'wide'])).stdout;
    expect(wide).toContain('map              frontends: 8.0 KiB, 32 of 128 (25 %)\n');
    expect(wide).toContain('map              reasons: 1.0 KiB\n');
    expect(wide).toContain('handed up        hop-limit: 3\n');
    expect(wide).toContain('event            flow-displaced: 4\n');
    const json: unknown = JSON.parse((await cli.penstock(['status', '-o', 'json'])).stdout);
    expect(json).toMatchObject({
      interfaces: [
        { name: 'eth0', xdpMode: 'native', multiBuffer: true },
        { reason: 'Operation not supported' },
      ],
      flowTable: { capacity: '262144', used: '12' },
      mapBytes: '9216',
    });
  });

  it('shows control characters from elsewhere instead of sending them', async () => {
    cli.gateway.status = { warnings: [{ code: 'X', message: '\u001b[2Jgone' }] };
    expect((await cli.penstock(['status'])).stdout).toContain('X: \\x1b[2Jgone\n');
  });
});
