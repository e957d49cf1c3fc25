import { describe, expect, it } from 'vitest';
import type { Message } from '../../wire/client.ts';
import { penstock as proto } from '../../wire/generated/proto.js';
import { commandUnderTest } from '../testing/command-under-test.ts';
import { declared } from '../testing/samples.ts';

const cli = commandUnderTest();

/** Two messages that are the same in every field have the same bytes. */
function bytesOf(loadBalancer: Message<'LoadBalancer'>): string {
  return Buffer.from(proto.v1.LoadBalancer.encode(loadBalancer).finish()).toString('hex');
}

function sentBytes(): readonly string[] {
  return (cli.gateway.applied[0]?.changes.putLoadBalancers ?? []).map(bytesOf);
}

describe('get lb', () => {
  it.each(['yaml', 'json'])('-o %s is taken by apply as it is', async (format) => {
    cli.gateway.loadBalancerChunks = [
      { revision: 5, loadBalancers: [declared] },
      { revision: 5, loadBalancers: [{ name: 'empty' }] },
    ];
    const { stdout } = await cli.penstock(['get', 'lb', '-o', format]);
    expect((await cli.penstock(['apply', '-f', '-'], stdout)).code).toBe(0);
    expect(sentBytes()).toEqual([bytesOf(declared), bytesOf({ name: 'empty' })]);
  });

  it('gives one load balancer that apply takes', async () => {
    cli.gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared] }];
    const { stdout } = await cli.penstock(['get', 'lb', 'web', '-o', 'yaml']);
    expect((await cli.penstock(['apply', '-f', '-'], stdout)).code).toBe(0);
    expect(sentBytes()).toEqual([bytesOf(declared)]);
  });

  it('prints a line each, joined from parts', async () => {
    const part = {
      name: 'web',
      backendPools: [
        { name: 'machines', members: [{ id: 'vm-2', address: '10.0.0.5', weight: 3, adminState: 4 }] },
      ],
    };
    cli.gateway.loadBalancerChunks = [
      { revision: 5, loadBalancers: [declared] },
      {
        revision: 5,
        loadBalancers: [part],
        ruleCounters: [
          { loadBalancer: 'web', rule: 'http', counters: { packets: 5, bytes: 3000, flows: 1 } },
        ],
        memberCounters: [
          {
            loadBalancer: 'web',
            backendPool: 'machines',
            member: 'vm-1',
            backendAddress: '10.0.0.4',
            counters: { packets: 4, bytes: 1024, flows: 2 },
          },
        ],
        limitCounters: [
          { loadBalancer: 'web', loadBalancingRule: 'http', refusedByClient: 3, refusedByRate: 1_200 },
          { loadBalancer: 'web', inboundNatRule: 'ssh', refusedByConcurrency: 7 },
        ],
      },
    ];
    expect((await cli.penstock(['get', 'lb', '-o', 'wide'])).stdout).toBe(
      'NAME   FRONTENDS   POOLS   MEMBERS   NAT RULES   LB RULES   PACKETS   TRAFFIC   FLOWS   ADDRESSES\n' +
        'web            1       1         2           2          1         5   2.9 KiB       1   fd00::1\n',
    );
    const { stdout } = await cli.penstock(['get', 'lb', 'web', '-o', 'wide']);
    expect(stdout).toContain('machines         2   vm-1=10.0.0.4 vm-2=10.0.0.5 (weight 3, drain)\n');
    expect(stdout).toContain('[fd00::1]:500-1499/tcp   pool machines, port 22\n');
    expect(stdout).toContain(
      'http                  [fd00::1]:80/tcp   pool machines, port 8080         5   2.9 KiB       1\n',
    );
    expect(stdout).toContain('machines        vm-1     10.0.0.4         4   1.0 KiB       2\n');
    expect(stdout).toContain(
      'RULE WITH LIMITS   KIND             REFUSED CLIENTS   OVER RATE   OVER CONCURRENCY\n' +
        'http               load-balancing                 3       1,200                  0\n' +
        'ssh                inbound NAT                    0           0                  7\n',
    );
  });

  it('says when there are none, or not this one', async () => {
    expect((await cli.penstock(['get', 'lb'])).stdout).toBe('no load balancers\n');
    expect((await cli.penstock(['get', 'lb', '-o', 'json'])).stdout).toBe(
      '{\n  "revision": "1",\n  "loadBalancers": []\n}\n',
    );
    expect(await cli.penstock(['get', 'lb', 'web'])).toMatchObject({
      code: 1,
      stderr: 'error: NOT_FOUND: there is no load balancer web\n`penstock get lb` lists them\n',
    });
  });
});
