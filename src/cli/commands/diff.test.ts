import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';
import { refusal } from '../testing/fake-gateway.ts';
import { declared, mapping } from '../testing/samples.ts';

const cli = commandUnderTest();

describe('diff', () => {
  const same = {
    ...declared,
    frontends: [{ name: 'public', address: 'FD00:0::1' }],
    backendPools: [{ name: 'machines', members: [{ id: 'vm-1', address: '10.0.0.4', pins: { ssh: 501 } }] }],
    inboundNatRules: [
      { ...declared.inboundNatRules[1], protocol: 'udp' },
      {
        name: 'ssh',
        frontend: 'public',
        protocol: 'TCP',
        backendPort: 22,
        pool: { backendPool: 'machines', frontendPortRangeStart: 500, maximumMachines: 1000 },
      },
    ],
    loadBalancingRules: [
      {
        ...declared.loadBalancingRules[0],
        drainPeriod: '1m30.5s',
        limits: { allowedClients: ['FD00:0::/8'], newFlowsPerSecond: 10, concurrentFlows: 5 },
      },
    ],
  };

  it('ends with 0 when only the words differ', async () => {
    cli.gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared] }];
    expect(await cli.penstock(['diff', '-f', '-'], JSON.stringify(same))).toEqual({
      code: 0,
      stdout: 'no differences\n',
      stderr: '',
    });
    expect(cli.gateway.applied).toEqual([]);
  });

  it('takes an id that is left out for the address', async () => {
    cli.gateway.loadBalancerChunks = [
      {
        loadBalancers: [
          { name: 'a', backendPools: [{ name: 'p', members: [{ id: 'fd00::5', address: 'fd00::5' }] }] },
        ],
      },
    ];
    const { code } = await cli.penstock(
      ['diff', '-f', '-'],
      'name: a\nbackendPools: [{name: p, members: [{address: "FD00::5"}]}]',
    );
    expect(code).toBe(0);
  });

  it('ends with 1, the fields, and what applying would do', async () => {
    cli.gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared, { name: 'old' }] }];
    cli.gateway.answer = { revision: 5, plan: { released: [mapping], releasedTotal: 1, entriesDeleted: 1 } };
    const changed = {
      ...same,
      backendPools: [
        {
          name: 'machines',
          members: [{ id: 'vm-1', address: '10.0.0.9', weight: 5 }, { address: '10.0.0.7' }],
        },
      ],
      loadBalancingRules: [],
    };
    const text = JSON.stringify([changed, { name: 'new' }]);
    const { code, stdout } = await cli.penstock(['diff', '-f', '-', '--replace'], text);
    expect(code).toBe(1);
    expect(stdout).toBe(
      'web\n' +
        '- backendPools[machines].members[vm-1].address: 10.0.0.4\n' +
        '+ backendPools[machines].members[vm-1].address: 10.0.0.9\n' +
        '- backendPools[machines].members[vm-1].pins: { ssh: 501 }\n' +
        '+ backendPools[machines].members[vm-1].weight: 5\n' +
        '+ backendPools[machines].members[10.0.0.7]: { id: 10.0.0.7, address: 10.0.0.7 }\n' +
        '- loadBalancingRules[http]: { name: http, frontend: public, protocol: PROTOCOL_TCP, frontendPort: 80, backendPort: 8080, backendPool: machines, sessionPersistence: SESSION_PERSISTENCE_CLIENT_IP, drainPeriod: 90.500s, limits: { allowedClients: [fd00::/8], newFlowsPerSecond: 10, concurrentFlows: 5 } }\n' +
        '+ new: not on the gateway yet\n' +
        '- old: not in the file\n' +
        '- web/ssh: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:22)\n' +
        'dry run at revision 5, nothing was changed: 0 ports new, 1 released, 0 remapped; 0 entries added, 0 replaced, 1 deleted\n',
    );
    expect(cli.gateway.replaced[0]?.at(-1)?.commit.validateOnly).toBe(true);
  });

  it('ends with 2 for every error', async () => {
    expect((await cli.penstock(['diff', '-f', '-'], 'nam: a')).code).toBe(2);
    expect((await cli.penstock(['diff', '-f', '-', '--address', 'unix:/nonexistent'], 'name: a')).code).toBe(
      2,
    );
    expect((await cli.penstock(['diff'])).code).toBe(2);
    cli.gateway.refusals = [refusal('FIELD_REQUIRED', 'no')];
    expect((await cli.penstock(['diff', '-f', '-'], 'name: a')).code).toBe(2);
  });
});
