// `penstock doctor` beside a running agent: which machines it declares, and whether they can be reached.
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayClient } from '../../src/wire/client.ts';
import { Lab } from '../lab/lab.ts';
import { connect, put } from './support/gateway.ts';
import { type Diagnosed, troubleOf } from './support/sick-host.ts';

let lab: Lab;
let client: GatewayClient;

beforeAll(async () => {
  lab = await Lab.up({ name: `e2e-doctor-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
});

afterAll(async () => {
  client?.close();
  await lab?.down();
});

async function declare(members: readonly (readonly [id: string, address: string])[]): Promise<void> {
  await put(client, {
    name: 'shop',
    frontends: [{ name: 'public', address: '203.0.113.10' }],
    backendPools: [{ name: 'vms', members: members.map(([id, address]) => ({ id, address })) }],
  });
}

async function diagnose(...args: readonly string[]): Promise<Diagnosed> {
  const { stdout, exitCode } = await lab.penstock(['doctor', '-o', 'json', ...args], { reject: false });
  return { exitCode, ...JSON.parse(stdout) };
}

async function mend(command: string): Promise<void> {
  // As an operator would, with the checkout's own command line.
  const bin = new URL('../../scripts', import.meta.url).pathname;
  await lab.exec('gateway', ['sh', '-ec', command], { env: { PATH: `${bin}:${process.env.PATH}` } });
}

const fineMachines = ({ checks }: Diagnosed): string =>
  checks.find(({ code, status }) => code === 'MACHINE_UNREACHABLE' && status === 'ok')?.message ?? '';

describe('machines', () => {
  it('that all answer are fine, though nobody has talked to them before', async () => {
    await declare([
      ['b1', '10.0.0.4'],
      ['b2', '10.0.0.5'],
      ['six', 'fd00:10::4'],
    ]);
    const diagnosed = await diagnose();
    expect(diagnosed).toMatchObject({ exitCode: 0, dataPlane: 'nftables', agentRunning: true });
    expect(diagnosed.checks.filter(({ status }) => status === 'error')).toEqual([]);
    expect(fineMachines(diagnosed)).toMatch(/^3 machines/);
  });

  it.each([
    ['10.0.9.9', 'vm-9'],
    ['fd00:10::99', 'vm-99'],
  ])('that do not answer are named, and the remedy takes them out: %s', async (address, id) => {
    await declare([
      ['b1', '10.0.0.4'],
      [id, address],
    ]);
    const sick = await diagnose();
    const trouble = troubleOf(sick, 'MACHINE_UNREACHABLE', address);
    expect([sick.exitCode, trouble?.status]).toEqual([1, 'error']);
    expect(trouble?.message).toBe('does not answer on lan0');
    expect(fineMachines(sick)).toMatch(/^1 machines/);
    const command = `penstock member add shop vms ${id}=${address} --admin-state DOWN`;
    expect(trouble?.remedy).toBe(`start the machine; until then: ${command}`);
    await mend(command);
    const mended = await diagnose();
    expect([mended.exitCode, troubleOf(mended, 'MACHINE_UNREACHABLE', address)?.status]).toEqual([0, 'info']);
  });

  it('that have lost their power are named, though they answered a moment ago, until they are back', async () => {
    await declare([
      ['b1', '10.0.0.4'],
      ['b2', '10.0.0.5'],
    ]);
    expect((await diagnose()).exitCode).toBe(0);
    await lab.removeBackend('b2');
    const trouble = troubleOf(await diagnose(), 'MACHINE_UNREACHABLE', '10.0.0.5');
    expect(trouble?.status).toBe('error');
    await lab.addBackend(2);
    const mended = await diagnose();
    expect([mended.exitCode, fineMachines(mended)]).toEqual([0, expect.stringMatching(/^2 machines/)]);
  });

  it.each([
    ['192.0.2.77', '10.0.0.4'],
    ['2001:db8:77::1', 'fd00:10::4'],
  ])('that no route leads to are named, and a route mends it: %s', async (address, router) => {
    await declare([['far', address]]);
    const sick = await diagnose();
    const trouble = troubleOf(sick, 'MACHINE_UNROUTED', address);
    expect([sick.exitCode, trouble?.status]).toEqual([1, 'error']);
    await mend((trouble?.remedy ?? '').replace('ROUTER', router));
    const mended = await diagnose();
    expect([mended.exitCode, troubleOf(mended, 'MACHINE_UNROUTED', address)]).toEqual([0, undefined]);
    expect(fineMachines(mended)).toMatch(/^1 machines/);
  });

  it('too many for conntrack ask for more room', async () => {
    const count = 3_000;
    const members = Array.from({ length: count }, (_, index) => ({
      id: `m${index}`,
      address: `10.77.${index >> 8}.${index & 255}`,
    }));
    await put(client, {
      name: 'crowd',
      frontends: [{ name: 'public', address: '203.0.113.11' }],
      backendPools: [{ name: 'vms', members }],
      inboundNatRules: [
        {
          name: 'ssh',
          frontend: 'public',
          protocol: 1,
          backendPort: 22,
          pool: { backendPool: 'vms', frontendPortRangeStart: 10_000, maximumMachines: count },
        },
      ],
    });
    const sick = await diagnose();
    const most = Number(
      (await lab.exec('gateway', ['sysctl', '-n', 'net.netfilter.nf_conntrack_max'])).stdout,
    );
    const small = troubleOf(sick, 'CONNTRACK_SMALL', '');
    expect(small === undefined).toBe(most === 0 || most >= 2 * count * 64);
    // No route leads to them, and none of the first is hidden behind a number.
    expect(sick.checks.filter(({ code }) => code === 'MACHINE_UNROUTED')).toHaveLength(20);
    expect(sick.checks.find(({ message }) => message.startsWith('2980 more machines'))?.status).toBe('error');
    await client.apply({ changes: { deleteLoadBalancers: ['crowd'] } });
  });
});

describe('the agent', () => {
  it('of another host is not asked', async () => {
    const { stdout } = await execa(
      'nsenter',
      [
        `--net=/run/netns/${lab.namespace('gateway')}`,
        '--',
        new URL('../../scripts/penstock', import.meta.url).pathname,
        '--address',
        '192.0.2.1:7443',
        'doctor',
        '-o',
        'json',
      ],
      { reject: false },
    );
    const { agentRunning, checks } = JSON.parse(stdout) as Diagnosed;
    expect(agentRunning).toBe(false);
    expect(checks.find(({ code }) => code === 'AGENT_UNREACHABLE')?.message).toContain('another host');
  });

  it('that is stopped is told, with the command that starts it', async () => {
    await lab.stopAgent();
    const diagnosed = await diagnose();
    expect(diagnosed).toMatchObject({ exitCode: 0, agentRunning: false });
    expect(troubleOf(diagnosed, 'AGENT_UNREACHABLE', '')).toMatchObject({ status: 'info' });
  });
});
