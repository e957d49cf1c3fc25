import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';
import { refusal } from '../testing/fake-gateway.ts';
import { declared } from '../testing/samples.ts';

const cli = commandUnderTest();

describe('member', () => {
  it('adds machines with the address as id where none is given', async () => {
    expect(
      (await cli.penstock(['member', 'add', 'web', 'p', 'vm-9=10.0.0.9', 'fd00::9', '--weight', '7'])).code,
    ).toBe(0);
    expect(cli.gateway.applied[0]?.changes.putMembers).toMatchObject([
      {
        loadBalancer: 'web',
        backendPool: 'p',
        members: [
          { id: 'vm-9', address: '10.0.0.9', weight: 7 },
          { id: 'fd00::9', address: 'fd00::9', weight: 7 },
        ],
      },
    ]);
    expect(cli.gateway.applied[0]?.allowRemap).toBe(false);
    const [machine, leave] = ['10.0.0.9', '--allow-remap'];
    expect((await cli.penstock(['member', 'add', 'web', 'p', machine, leave])).code).toBe(0);
    expect(cli.gateway.applied[1]?.allowRemap).toBe(true);
  });

  it('keeps what an update does not name, and looks again when somebody else was faster', async () => {
    cli.gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared] }];
    cli.gateway.refusals = [refusal('STALE_REVISION', 'too late')];
    const args = [
      'member',
      'add',
      'web',
      'machines',
      'vm-1=10.0.0.4',
      '--admin-state',
      'drain',
      '--pin',
      'rdp=700',
    ];
    expect((await cli.penstock(args)).code).toBe(0);
    expect(cli.gateway.applied).toHaveLength(2);
    expect(cli.gateway.applied[1]).toMatchObject({
      expectedRevision: 5,
      changes: { putMembers: [{ members: [{ weight: 1, adminState: 4, pins: { ssh: 501, rdp: 700 } }] }] },
    });
  });

  it.each([
    [['vm-1']],
    [['=10.0.0.4']],
    [['10.0.0.4', '10.0.0.5', '--pin', 'ssh=500']],
    [['10.0.0.4', '--pin', 'ssh']],
    [['10.0.0.4', '--weight', '0']],
    [['10.0.0.4', '--admin-state', 'SIDEWAYS']],
  ])('does not add %j', async (args) => {
    expect((await cli.penstock(['member', 'add', 'web', 'p', ...args])).code).toBe(2);
    expect(cli.gateway.applied).toEqual([]);
  });

  it('removes by id', async () => {
    expect((await cli.penstock(['member', 'remove', 'web', 'p', 'vm-1', 'vm-2'])).code).toBe(0);
    expect(cli.gateway.applied[0]?.changes.deleteMembers).toMatchObject([
      { loadBalancer: 'web', backendPool: 'p', ids: ['vm-1', 'vm-2'] },
    ]);
  });
});
