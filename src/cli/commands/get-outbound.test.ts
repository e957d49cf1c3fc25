import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';

const cli = commandUnderTest();

describe('get outbound', () => {
  const member = {
    loadBalancer: 'web',
    rule: 'out',
    backendPool: 'vms',
    member: 'vm-1',
    backendAddress: '10.0.0.4',
    protocol: 3,
    frontendAddress: '203.0.113.10',
    firstPort: 64_512,
    lastPort: 65_535,
    assigned: { seconds: 1_767_225_600 },
    flows: 1_200,
    used: 900,
    level: 2,
    busiest: '198.51.100.7:443/tcp',
  };
  const idle = { ...member, member: 'vm-2', flows: 0, used: 0, level: 1, busiest: '' };

  it('shows ports and how many are in use, and passes all that narrows on', async () => {
    cli.gateway.outboundChunks = [
      { revision: 1, members: [member] },
      { revision: 1, members: [idle] },
    ];
    const narrowed = ['--lb', 'web', '--rule', 'out', '--member', 'vm-1', '--member-address', '10.0.0.4'];
    const { code, stdout } = await cli.penstock([
      'get',
      'outbound',
      ...narrowed,
      '--frontend',
      '203.0.113.10',
      '-o',
      'wide',
    ]);
    expect(code).toBe(0);
    expect(cli.gateway.outboundFilters.at(-1)).toMatchObject({
      loadBalancer: 'web',
      rule: 'out',
      member: 'vm-1',
      memberAddress: '10.0.0.4',
      frontendAddress: '203.0.113.10',
    });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(lines[1]?.slice(2)).toEqual([
      'vm-1',
      '10.0.0.4',
      '203.0.113.10:64512-65535/all',
      '1,200',
      '900 of 1,024',
      'low',
      '198.51.100.7:443/tcp',
      '2026-01-01T00:00:00Z',
    ]);
    expect(lines[2]?.slice(5, 9)).toEqual(['0', '0 of 1,024', 'normal', '-']);
  });

  it('gives programs the messages as they are', async () => {
    cli.gateway.outboundChunks = [{ revision: 1, members: [member] }];
    expect(JSON.parse((await cli.penstock(['get', 'outbound', '-o', 'json'])).stdout)).toMatchObject({
      revision: '1',
      members: [{ firstPort: 64_512, level: 'OUTBOUND_LEVEL_LOW' }],
    });
    cli.gateway.outboundChunks = [{ revision: 1 }];
    expect((await cli.penstock(['get', 'outbound'])).stdout).toBe('no outbound ports\n');
  });

  it('is told by watch, counted by status and apply, and declared by get load-balancers', async () => {
    cli.gateway.events = [{ revision: 1, time: { seconds: 0 }, outboundPorts: member }];
    expect((await cli.penstock(['watch'])).stdout).toContain(
      'web/out: vm-1 uses 900 of its 1,024 ports towards 198.51.100.7:443/tcp: low',
    );
    cli.gateway.status = { outboundRules: 3 };
    expect((await cli.penstock(['status'])).stdout).toContain('0 load balancing, 3 outbound');
    const rule = { name: 'out', frontends: ['fe', 'fe2'], protocol: 1, backendPool: 'vms' };
    cli.gateway.loadBalancerChunks = [
      {
        revision: 1,
        loadBalancers: [
          { name: 'web', frontends: [{ name: 'fe', address: '203.0.113.10' }], outboundRules: [rule] },
        ],
      },
    ];
    expect((await cli.penstock(['get', 'load-balancers', 'web'])).stdout).toMatch(
      /out +203\.0\.113\.10, fe2 +pool vms, tcp +by the pool’s size/,
    );
  });
});
