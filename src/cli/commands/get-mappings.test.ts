import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';
import { mapping } from '../testing/samples.ts';

const cli = commandUnderTest();

describe('get mappings', () => {
  it('prints a table', async () => {
    cli.gateway.mappingChunks = [
      { revision: 1, mappings: [mapping] },
      { revision: 1, mappings: [{ ...mapping, frontendAddress: 'fd00::1', member: '', backendAddress: '' }] },
    ];
    expect((await cli.penstock(['get', 'mappings'])).stdout).toBe(
      'LOAD BALANCER   RULE   FRONTEND               MEMBER   BACKEND\n' +
        'web             ssh    203.0.113.10:500/tcp   vm-1     10.0.0.4:22\n' +
        'web             ssh    [fd00::1]:500/tcp      -        -\n',
    );
    expect(cli.gateway.mappingFilters[0]?.skipCounters).toBe(true);
  });

  it('adds times, counters and ranges when wide', async () => {
    const range = {
      loadBalancer: 'web',
      rule: 'ssh',
      backendPool: 'machines',
      frontendPortRangeStart: 500,
      frontendPortRangeEnd: 1499,
      capacity: 1000,
      used: 1,
      free: 999,
      nextPort: 501,
    };
    cli.gateway.mappingChunks = [{ revision: 1, mappings: [mapping], ranges: [range] }];
    expect((await cli.penstock(['get', 'mappings', '-o', 'wide'])).stdout).toBe(
      'LOAD BALANCER   RULE   FRONTEND               MEMBER   BACKEND       SINCE                  PACKETS   TRAFFIC   FLOWS\n' +
        'web             ssh    203.0.113.10:500/tcp   vm-1     10.0.0.4:22   2026-01-01T00:00:00Z     1,234   2.0 KiB       7\n' +
        '\n' +
        'LOAD BALANCER   RULE   POOL       RANGE      CAPACITY   USED   FREE   NEXT PORT\n' +
        'web             ssh    machines   500-1499      1,000      1    999         501\n',
    );
  });

  it.each([
    [['--lb', 'web', '--rule', 'ssh', '--pool', 'p'], { loadBalancer: 'web', rule: 'ssh', backendPool: 'p' }],
    [['--member', 'vm-1'], { member: 'vm-1' }],
    [['--member-address', '10.0.0.4'], { memberAddress: '10.0.0.4' }],
    [['--frontend', '203.0.113.10:500'], { frontendAddress: '203.0.113.10', frontendPort: 500 }],
    [['--frontend', '[fd00::1]:500'], { frontendAddress: 'fd00::1', frontendPort: 500 }],
    [['--frontend', 'fd00::1', '--port', '9'], { frontendAddress: 'fd00::1', frontendPort: 9 }],
  ])('asks with %j', async (args, expected) => {
    expect((await cli.penstock(['get', 'mappings', ...args])).code).toBe(0);
    expect(cli.gateway.mappingFilters[0]).toMatchObject(expected);
  });

  it.each([
    [['--frontend', 'web']],
    [['--frontend', '10.0.0.1:0']],
    [['--frontend', '10.0.0.1:5', '--port', '6']],
    [['--port', '65536']],
    [['-o', 'xml']],
    [['--no-such']],
    [['one-too-many']],
  ])('does not take %j', async (args) => {
    const { code, stderr } = await cli.penstock(['get', 'mappings', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: /);
  });

  it('gives one object in every structured format, over all chunks', async () => {
    cli.gateway.mappingChunks = [
      { revision: 9, mappings: [mapping], ranges: [{ rule: 'ssh', capacity: 5 }] },
      { revision: 9, mappings: [{ ...mapping, frontendPort: 501 }] },
    ];
    const json: unknown = JSON.parse((await cli.penstock(['get', 'mappings', '-o', 'json'])).stdout);
    expect(json).toMatchObject({
      revision: '9',
      mappings: [{ frontendPort: 500 }, { frontendPort: 501 }],
      ranges: [{ rule: 'ssh', capacity: 5 }],
    });
    const { parse } = await import('yaml');
    expect(parse((await cli.penstock(['get', 'mappings', '-o', 'yaml'])).stdout)).toEqual(json);
  });

  it('says when there are none', async () => {
    expect((await cli.penstock(['get', 'mappings'])).stdout).toBe('no mappings\n');
    expect(JSON.parse((await cli.penstock(['get', 'mappings', '-o', 'json'])).stdout)).toEqual({
      revision: '1',
      mappings: [],
    });
  });
});
