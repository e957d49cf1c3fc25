import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';

const cli = commandUnderTest();

describe('get health', () => {
  const up = {
    loadBalancer: 'web',
    rule: 'http',
    member: 'vm-1',
    backendAddress: '10.0.0.4',
    eligible: true,
  };
  const down = { ...up, member: 'vm-2', backendAddress: '10.0.0.5', eligible: false };
  const members = [
    { ...up, reason: 'Up_Probe_Success', since: { seconds: 1_767_225_600 } },
    {
      ...down,
      reason: 'Down_Probe_HttpStatusCodeError',
      since: { seconds: 1_767_225_600 },
      detail: 'status 503',
      flapping: true,
    },
    { ...down, member: 'vm-3', reason: 'NA' },
  ];

  it('says who gets new flows, and why others do not', async () => {
    cli.gateway.healthChunks = [{ members: members.slice(0, 2) }, { members: members.slice(2) }];
    const { code, stdout } = await cli.penstock([
      'get',
      'health',
      '--lb',
      'web',
      '--rule',
      'http',
      '-o',
      'wide',
    ]);
    expect(code).toBe(0);
    expect(cli.gateway.healthFilters.at(-1)).toMatchObject({ loadBalancer: 'web', rule: 'http' });
    const lines = stdout.split('\n').map((line) => line.split(/ {2,}/));
    expect(lines[0]).toEqual([
      'LOAD BALANCER',
      'RULE',
      'MEMBER',
      'NEW FLOWS',
      'REASON',
      'FOR',
      'LAST FAILURE',
      'FLOWS END',
      'BACKEND',
      'SINCE',
    ]);
    expect(lines[1]?.slice(0, 5)).toEqual(['web', 'http', 'vm-1', 'yes', 'Up_Probe_Success']);
    expect(lines[2]?.[4]).toBe('Down_Probe_HttpStatusCodeError (flapping)');
    expect(lines[2]?.slice(6)).toEqual(['status 503', '-', '10.0.0.5', '2026-01-01T00:00:00Z']);
    expect(lines[3]?.slice(2)).toEqual(['vm-3', 'no', 'NA', '-', '-', '-', '10.0.0.5', '-']);
  });

  it('gives programs the messages as they are', async () => {
    cli.gateway.healthChunks = [{ members }];
    const { stdout } = await cli.penstock(['get', 'health', '-o', 'json']);
    const { members: listed }: { members: readonly unknown[] } = JSON.parse(stdout);
    expect(listed).toHaveLength(3);
    expect(listed[1]).toMatchObject({ member: 'vm-2', flapping: true, since: '2026-01-01T00:00:00Z' });
  });

  it('says so where nothing is probed', async () => {
    cli.gateway.healthChunks = [];
    expect((await cli.penstock(['get', 'health'])).stdout).toBe(
      'no probed rules, and no drain period runs\n',
    );
    expect(JSON.parse((await cli.penstock(['get', 'health', '-o', 'json'])).stdout)).toEqual({ members: [] });
  });
});
