import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';

const cli = commandUnderTest();

describe('get flows', () => {
  const flow = {
    loadBalancer: 'web',
    rule: 'http',
    direction: 1,
    protocol: 1,
    peerAddress: '198.51.100.7',
    peerPort: 40_001,
    frontendAddress: '203.0.113.10',
    frontendPort: 80,
    backendPool: 'vms',
    member: 'vm-1',
    backendAddress: '10.0.0.4',
    backendPort: 8080,
    state: 2,
    keptBy: 'conntrack',
    packets: 12,
    bytes: 2_048,
  };
  const out = { ...flow, direction: 2, member: '', state: 3, keptBy: 'xdp', packets: 0, bytes: 0 };

  it('shows who talks to whom, and passes all that narrows on', async () => {
    cli.gateway.flowChunks = [{ flows: [flow] }, { flows: [out] }, { more: true }];
    const narrowed = [
      '--lb',
      'web',
      '--rule',
      'http',
      '--pool',
      'vms',
      '--member',
      'vm-1',
      '--peer',
      '198.51.100.7',
    ];
    const named = ['--member-address', '10.0.0.4', '--frontend', '203.0.113.10:80', '--limit', '2'];
    const { code, stdout } = await cli.penstock(['get', 'flows', ...narrowed, ...named, '-o', 'wide']);
    expect(code).toBe(0);
    expect(cli.gateway.flowFilters.at(-1)).toMatchObject({
      loadBalancer: 'web',
      rule: 'http',
      backendPool: 'vms',
      member: 'vm-1',
      memberAddress: '10.0.0.4',
      frontendAddress: '203.0.113.10',
      frontendPort: 80,
      peerAddress: '198.51.100.7',
      limit: 2,
    });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(lines[0]?.slice(2, 5)).toEqual(['WAY', 'PEER', 'FRONTEND']);
    expect(lines[1]?.slice(2)).toEqual([
      'IN',
      '198.51.100.7:40001',
      '203.0.113.10:80/tcp',
      'vm-1',
      '10.0.0.4:8080',
      'established',
      'conntrack',
      '12',
      '2.0 KiB',
    ]);
    expect(lines[2]?.[2]).toBe('OUT');
    expect(lines[2]?.slice(5)).toEqual(['-', '10.0.0.4:8080', 'closing', 'xdp', '-', '-']);
    expect(lines.at(-1)).toEqual(['... and more: --limit 2 was reached']);
  });

  it('gives programs the messages as they are', async () => {
    cli.gateway.flowChunks = [{ flows: [flow] }, { more: true }];
    expect(JSON.parse((await cli.penstock(['get', 'flows', '-o', 'json'])).stdout)).toMatchObject({
      flows: [{ state: 'FLOW_STATE_ESTABLISHED', packets: '12' }],
      more: true,
    });
    cli.gateway.flowChunks = [{ more: false }];
    expect(JSON.parse((await cli.penstock(['get', 'flows', '-o', 'json'])).stdout)).toEqual({ flows: [] });
    expect((await cli.penstock(['get', 'flows'])).stdout).toBe('no flows\n');
  });

  it('asks for no more than an answer can hold', async () => {
    const { code, stderr } = await cli.penstock(['get', 'flows', '--limit', '100001']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('1 to 100000')]);
  });
});
