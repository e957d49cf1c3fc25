// What the agent sets on its host, what it mends there, and that nothing of it stays when it is asked to go.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Answer, GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { slowness } from '../slowness.ts';
import { expectAgreement } from './support/agreement.ts';
import { type Family, front, members, otherFront, tcp, udp } from './support/declare.ts';
import { Flows } from './support/flows.ts';
import { connect, put, revisionOf } from './support/gateway.ts';
import { ruleset } from './support/kernel.ts';
import { dataplane, upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';
import { ping } from './support/ping.ts';

let lab: Lab;
let traffic: Traffic;

const settings = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'];
/** What XDP asks for besides, on the interfaces that it receives from. */
const xdpSettings = ['net.ipv4.conf.lan0.accept_local', 'net.ipv4.conf.wan0.accept_local'];
const allSettings = [...settings, ...(dataplane === 'xdp' ? xdpSettings : [])].toSorted();
const foreign = `table inet foreign {
  set seen { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 } }
  chain forward { type filter hook forward priority 0; policy accept; ip saddr @seen drop; }
}`;

function declaration(family: Family, more: Message<'Frontend'> = {}): Message<'LoadBalancer'> {
  return {
    name: `lb${family}`,
    frontends: [{ name: 'front', address: front[family], ...more }],
    backendPools: [{ name: 'vms', members: members([1, 2], family) }],
    inboundNatRules: [tcp, udp].map((protocol) => ({
      name: protocol === tcp ? 'web' : 'dns',
      frontend: 'front',
      protocol,
      backendPort: protocol === tcp ? 80 : 5300,
      pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
    })),
  };
}

beforeAll(async () => {
  lab = await upLab({ name: `e2e-host-${process.pid}`, backends: 2 });
  traffic = await lab.traffic();
  await lab.exec('gateway', ['nft', '-f', '-'], { input: foreign });
});

afterAll(async () => {
  await traffic?.stop();
  await lab?.down();
});

/** A client of its own: one that has seen the agent go waits before it connects again. */
async function ask<T>(work: (client: GatewayClient) => Promise<T>): Promise<T> {
  using client = connect(lab);
  return await work(client);
}

async function addresses(): Promise<readonly string[]> {
  const { stdout } = await lab.exec('gateway', ['ip', '-brief', 'address', 'show', 'dev', 'lo']);
  return stdout.split(/\s+/).filter((word) => word.includes('/') && !/^(127\.|::1)/.test(word));
}

async function sysctls(): Promise<readonly string[]> {
  const { stdout } = await lab.exec('gateway', ['sysctl', '-n', ...allSettings]);
  return stdout.trim().split('\n');
}

async function tables(): Promise<readonly string[]> {
  const { stdout } = await lab.exec('gateway', ['nft', 'list', 'tables']);
  return stdout.split('\n').filter((line) => line !== '');
}

/** The foreign table, with its handles. */
async function foreignTable(): Promise<string> {
  return (await lab.exec('gateway', ['nft', '-a', 'list', 'table', 'inet', 'foreign'])).stdout;
}

async function forwards(): Promise<boolean> {
  const asked = await traffic.ask(
    [front[4], front[6]].map((address) => ({ scheme: 'http', address, port: 501, timeout: 700 })),
  );
  return machines(asked).every((machine) => machine === 'b2');
}

async function flush() {
  return await lab.penstock(['flush', '--state-directory', lab.stateDirectory], { reject: false });
}

const on = allSettings.map(() => '1');
const off = allSettings.map(() => '0');

describe('what is set', () => {
  it('is shown in status, and undone by flush', async () => {
    await lab.startAgent();
    await ask((client) => put(client, declaration(4), declaration(6)));
    expect(await sysctls()).toEqual(on);
    expect(await addresses()).toEqual([`${front[4]}/32`, `${front[6]}/128`]);
    expect(await forwards()).toBe(true);
    const { hostSettings, hostAddresses } = await ask((client) => client.getStatus());
    expect(hostSettings.map(({ name, value, valueBefore }) => [name, value, valueBefore]).toSorted()).toEqual(
      allSettings.map((name) => [name, '1', '0']),
    );
    expect(hostAddresses.map((one) => [one.address, one.interface, one.added])).toEqual([
      [front[4], 'lo', true],
      [front[6], 'lo', true],
    ]);
    const shown = (await lab.penstock(['status', '-o', 'wide'])).stdout;
    expect(shown).toContain('net.ipv4.ip_forward = 1 (before: 0)');
    expect(shown).toContain(`${front[6]} on lo`);

    await lab.stopAgent();
    expect(await forwards()).toBe(true);
    const flushed = await flush();

    expect(flushed.exitCode).toBe(0);
    expect(flushed.stdout).toContain('net.ipv4.ip_forward: back to 0');
    expect(flushed.stdout).toContain(`${front[4]}: removed from lo`);
    expect(await sysctls()).toEqual(off);
    expect(await addresses()).toEqual([]);
    expect(await tables()).toEqual(['table inet foreign']);
    expect((await flush()).exitCode).toBe(0);
  });

  it('comes back with the agent, which still knows what is declared', async () => {
    await lab.startAgent();
    expect(await forwards()).toBe(true);
    expect(await addresses()).toHaveLength(2);
  });

  it('survives a kill: flush still knows the values from before', async () => {
    await lab.killAgent();
    await lab.startAgent();
    await lab.killAgent();
    await flush();
    expect([await sysctls(), await addresses()]).toEqual([off, []]);
  });

  it('goes with the agent that was started with --flush-on-exit', async () => {
    const before = await foreignTable();
    await lab.startAgent({ arguments: ['--flush-on-exit'] });
    expect(await forwards()).toBe(true);
    await lab.stopAgent();
    expect([await sysctls(), await addresses()]).toEqual([off, []]);
    expect(await tables()).toEqual(['table inet foreign']);
    expect(await foreignTable()).toBe(before);
  });

  it('leaves an address that stood there before, and one that others route', async () => {
    await lab.exec('gateway', ['ip', 'address', 'add', `${front[4]}/32`, 'dev', 'wan0']);
    await lab.startAgent();
    const { hostAddresses } = await ask((client) => client.getStatus());
    expect(hostAddresses.map((one) => [one.address, one.interface, one.added])).toContainEqual([
      front[4],
      'wan0',
      false,
    ]);
    expect(await addresses()).toEqual([`${front[6]}/128`]);
    await ask((client) => put(client, declaration(6, { addressOwnership: 2 })));
    expect(await addresses()).toEqual([]);
    await ask((client) => client.apply({ changes: { deleteLoadBalancers: ['lb4', 'lb6'] } }));
    await lab.stopAgent();
    await flush();
    const { stdout } = await lab.exec('gateway', ['ip', '-brief', 'address', 'show', 'dev', 'wan0']);
    expect(stdout).toContain(`${front[4]}/32`);
    await lab.exec('gateway', ['ip', 'address', 'delete', `${front[4]}/32`, 'dev', 'wan0']);
  });

  it('follows the frontends: an address moves with its frontend, and one for two stays for one', async () => {
    await lab.startAgent();
    const moved = declaration(4, { address: otherFront[4] });
    await ask(async (client) => {
      await put(client, declaration(4), { ...declaration(4), name: 'twin', inboundNatRules: [] });
      expect(await addresses()).toEqual([`${front[4]}/32`]);
      await put(client, moved);
      expect([...(await addresses())].toSorted()).toEqual([`${front[4]}/32`, `${otherFront[4]}/32`]);
      await client.apply({ changes: { deleteLoadBalancers: ['twin'] } });
      expect(await addresses()).toEqual([`${otherFront[4]}/32`]);
      await client.apply({ changes: { deleteLoadBalancers: ['lb4'] } });
    });
    expect(await addresses()).toEqual([]);
    await lab.stopAgent();
  });
});

describe('while the agent runs', () => {
  beforeEach(async () => {
    if (!(await lab.agentRuns())) await lab.startAgent();
    await ask((client) => put(client, declaration(4), declaration(6)));
  });

  it('flush is refused, with what to do', async () => {
    const before = await ruleset(lab);
    const { exitCode, stderr } = await flush();
    expect(exitCode).toBe(4);
    expect(stderr).toContain('is in use by another process');
    expect(stderr).toContain('stop the other one first');
    expect(await ruleset(lab)).toBe(before);
    expect(await forwards()).toBe(true);
  });

  /** The warning that a watcher is told after something is done to the host. */
  async function warningAfter(act: () => Promise<unknown>): Promise<Answer<'Warning'>> {
    return await ask(async (client) => {
      let begun = false;
      for await (const event of client.watch({}, { timeout: 20_000 * slowness })) {
        if (!begun) await act();
        begun = true;
        if (event.warning !== null && event.warning !== undefined) return event.warning;
      }
      throw new Error('the watch ended');
    });
  }

  it.each([
    ['nft flush ruleset', ['nft', 'flush', 'ruleset']],
    ['nft delete table inet penstock', ['nft', 'delete', 'table', 'inet', 'penstock']],
    ['a deleted element', ['nft', 'delete', 'element', 'inet', 'penstock', 'backends4', '{ 10.0.0.5 }']],
    [
      'a rule of somebody else’s in our table',
      ['nft', 'insert', 'rule', 'inet', 'penstock', 'prerouting', 'tcp', 'dport', '501', 'drop'],
    ],
  ])('%s is mended within seconds, with a warning', async (_, command) => {
    await using flows = await Flows.start(lab);
    await flows.open('connection', front[4], 500);
    await flows.send('established', front[6], 500);
    expect([await flows.ask('connection'), await flows.firstAnswer('established')]).toEqual(['b1', 'b1']);
    const warning = await warningAfter(() => lab.exec('gateway', command));
    expect(warning.code).toBe('DATA_PLANE_REPAIRED');
    expect(await flows.ask('connection')).toBe('b1');
    await expect.poll(async () => (await flows.answers('established')).at(-5)).toBe('b1');
    expect(warning.remedy).toContain('nft monitor');
    expect(await forwards()).toBe(true);
    await ask((client) => expectAgreement(lab, client));
    const { warnings, revision, dataPlaneRevision } = await ask((client) => client.getStatus());
    expect(warnings.map(({ code }) => code)).toContain('DATA_PLANE_REPAIRED');
    expect(dataPlaneRevision).toBe(revision);
    expect((await lab.penstock(['status'])).stdout).toContain('DATA_PLANE_REPAIRED');
  });

  it('an address and a setting that somebody took away are mended, with a warning', async () => {
    const warning = await warningAfter(async () => {
      await lab.exec('gateway', ['ip', 'address', 'delete', `${front[4]}/32`, 'dev', 'lo']);
      await lab.exec('gateway', ['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0']);
    });
    expect(warning.code).toBe('HOST_REPAIRED');
    expect(warning.message).toContain(front[4]);
    expect(warning.message).toContain('net.ipv6.conf.all.forwarding');
    expect(await forwards()).toBe(true);
    expect(await ping(lab, front[4])).toBe(front[4]);
  });
});

describe('a foreign table', () => {
  it('is the same after a change, a restart, a repair and a flush', async () => {
    if (!(await lab.agentRuns())) await lab.startAgent();
    await lab.exec('gateway', ['nft', 'delete', 'table', 'inet', 'foreign'], { reject: false });
    await lab.exec('gateway', ['nft', '-f', '-'], { input: foreign });
    const before = await foreignTable();
    const revision = await ask(revisionOf);
    await ask((client) => put(client, { ...declaration(4), name: 'lb4', inboundNatRules: [] }));
    expect(await ask(revisionOf)).toBe(revision + 1);
    expect(await foreignTable()).toBe(before);
    await lab.stopAgent();
    await lab.startAgent();
    expect(await foreignTable()).toBe(before);
    await lab.exec('gateway', ['nft', 'delete', 'table', 'inet', 'penstock']);
    await expect.poll(tables, { timeout: 5_000 * slowness }).toContain('table inet penstock');
    expect(await foreignTable()).toBe(before);
    await lab.stopAgent();
    await flush();
    expect(await foreignTable()).toBe(before);
    expect(await tables()).toEqual(['table inet foreign']);
  });
});

describe('an agent that cannot run here', () => {
  it('without nft says so, and how to mend it', async () => {
    const before = [await sysctls(), await tables()];
    const bin = `${lab.directory}/bin`;
    const script = `mkdir ${bin} && ln -s $(which nsenter bash env dirname readlink ip sysctl) ${bin}`;
    await lab.exec('gateway', ['sh', '-c', script]);
    const { exitCode, stderr } = await lab.penstock(
      ['agent', '--state-directory', lab.stateDirectory, '--listen', `unix:${lab.socket}`],
      { env: { PATH: bin }, reject: false, timeout: 20_000 },
    );
    expect(exitCode).toBe(4);
    expect(stderr).toContain('NFT_MISSING');
    expect(stderr).toContain('apt-get install nftables');
    expect([await sysctls(), await tables()]).toEqual(before);
  });

  it('without permission says so', async () => {
    const { exitCode, stderr } = await lab.exec(
      'gateway',
      [
        'setpriv',
        '--bounding-set=-net_admin',
        '--inh-caps=-net_admin',
        new URL('../../scripts/penstock', import.meta.url).pathname,
        'agent',
        '--state-directory',
        lab.stateDirectory,
        '--listen',
        `unix:${lab.socket}`,
      ],
      { reject: false, timeout: 20_000 },
    );
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(/NFT_NOT_PERMITTED/);
    expect(stderr).toContain('CAP_NET_ADMIN');
  });
});
