// The command line against a real agent: what each command does, prints, and ends with.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { GatewayClient } from '../../src/wire/client.ts';
import { type CommandResult, Lab } from '../lab/lab.ts';
import { slowness } from '../slowness.ts';
import { connect, listLoadBalancers, listMappings, ports, revisionOf } from './support/gateway.ts';

let lab: Lab;
let client: GatewayClient;
let file: string;

const shop = `# A comment that no machine needs
name: shop
frontends:
  - { name: public, address: 203.0.113.10 }
  - { name: public6, address: "2001:db8:f::10", addressOwnership: EXTERNAL }
backendPools:
  - name: vms
    members:
      - { id: vm-1, address: 10.0.0.4 }
      - { id: vm-2, address: 10.0.0.5, weight: 2, adminState: DRAIN }
  - name: six
    members: [{ address: "fd00:10::4" }]
inboundNatRules:
  - name: tls
    frontend: public
    protocol: TCP
    backendPort: 443
    pool: { backendPool: vms, frontendPortRangeStart: 500, maximumMachines: 1000 }
  - name: dns
    frontend: public6
    protocol: ALL
    backendPort: 5300
    pool: { backendPool: six, frontendPortRangeStart: 600, frontendPortRangeEnd: 609, portsPerMember: 2 }
  - name: console
    frontend: public
    protocol: TCP
    backendPort: 22
    single: { frontendPort: 2222, address: 10.0.0.6 }
    flow: { sourceNat: MASQUERADE }
loadBalancingRules:
  - name: web
    frontend: public
    protocol: TCP
    frontendPort: 80
    backendPort: 80
    backendPool: vms
    sessionPersistence: CLIENT_IP
`;

beforeAll(async () => {
  lab = await Lab.up({ name: `e2e-cli-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
  file = join(lab.directory, 'shop.yaml');
});

afterAll(async () => {
  client?.close();
  await lab?.down();
});

beforeEach(async () => {
  await client.replaceAll([{ commit: {} }]);
  await writeFile(file, shop);
});

async function run(...args: readonly string[]): Promise<CommandResult> {
  return await lab.penstock(args, { reject: false });
}

async function declared(): Promise<readonly string[]> {
  return (await listLoadBalancers(client)).map(({ name }) => name).toSorted();
}

describe('apply', () => {
  it('says which ports are new, and does nothing the second time', async () => {
    const first = await run('apply', '-f', file);
    expect([first.exitCode, first.stderr]).toEqual([0, '']);
    expect(first.stdout).toContain('+ shop/tls: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:443)');
    expect(first.stdout).toContain('5 ports new, 0 released, 0 remapped');
    const revision = await revisionOf(client);
    const second = await run('apply', '-f', file);
    expect(second.exitCode).toBe(0);
    expect(second.stdout).toContain('the forwarding stays as it is');
    expect(await revisionOf(client)).toBe(revision);
  });

  it('as a dry run shows the same, and changes nothing', async () => {
    const revision = await revisionOf(client);
    const tried = await run('apply', '-f', file, '--dry-run');
    expect(tried.exitCode).toBe(0);
    expect(tried.stdout).toContain(`dry run at revision ${revision}, nothing was changed: 5 ports new`);
    expect(await declared()).toEqual([]);
  });

  it('reads standard input and several documents; --replace lets the others go', async () => {
    await run('apply', '-f', file);
    const two = 'name: one\n---\nname: two\n';
    expect((await lab.penstock(['apply', '-f', '-'], { input: two })).exitCode).toBe(0);
    expect(await declared()).toEqual(['one', 'shop', 'two']);
    expect((await lab.penstock(['apply', '--replace', '-f', '-'], { input: two })).exitCode).toBe(0);
    expect(await declared()).toEqual(['one', 'two']);
  });

  it('refused by the agent ends with 1, the line of the file, and what to do', async () => {
    await run('apply', '-f', file);
    await writeFile(
      file,
      shop.replace(
        'frontendPortRangeStart: 500, maximumMachines: 1000',
        'frontendPortRangeStart: 501, maximumMachines: 9',
      ),
    );
    const refused = await run('apply', '-f', file);
    expect([refused.exitCode, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toContain('PORT_RANGE_IN_USE');
    expect(refused.stderr).toMatch(/shop\.yaml:\d+/);
    expect(refused.stderr).toContain('--allow-remap');
    const moved = await run('apply', '-f', file, '--allow-remap');
    expect(moved.exitCode).toBe(0);
    expect(moved.stdout).toContain('~ shop/tls: 203.0.113.10:500/tcp -> vm-1');
    expect(moved.stdout).toContain('1 remapped');
  });

  it('with a stale revision ends with 1', async () => {
    const refused = await run('apply', '-f', file, '--expected-revision', '987654');
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('STALE_REVISION');
  });

  it('without an agent ends with 3, and says how to start one', async () => {
    const nowhere = await run('--address', `unix:${lab.directory}/nothing.sock`, 'apply', '-f', file);
    expect(nowhere.exitCode).toBe(3);
    expect(nowhere.stderr).toContain('penstock agent');
  });

  it.each<[string, readonly string[]]>([
    ['a file that is not there', ['apply', '-f', '/nowhere.yaml']],
    ['an option that there is not', ['apply', '--wish']],
    ['no file', ['apply']],
    ['a command that there is not', ['aply']],
    ['no command', []],
  ])('wrong usage ends with 2: %s', async (_, args) => {
    expect((await run(...args)).exitCode).toBe(2);
  });
});

describe('diff', () => {
  it('ends with 1 where the files differ, 0 where they do not, 2 for any error', async () => {
    const before = await run('diff', '-f', file);
    expect(before.exitCode).toBe(1);
    expect(before.stdout).toContain('5 ports new');
    await run('apply', '-f', file);
    const same = await run('diff', '-f', file);
    expect([same.exitCode, same.stdout]).toEqual([0, 'no differences']);
    await writeFile(file, shop.replace('10.0.0.5', '10.0.0.7'));
    const changed = await run('diff', '-f', file);
    expect(changed.exitCode).toBe(1);
    expect(changed.stdout).toMatch(/-.*10\.0\.0\.5/);
    expect(changed.stdout).toMatch(/\+.*10\.0\.0\.7/);
    expect(await revisionOf(client)).toBeGreaterThan(0);
    expect(ports(await listMappings(client, { memberAddress: '10.0.0.7' }))).toEqual([]);
    await writeFile(file, 'name: [');
    expect((await run('diff', '-f', file)).exitCode).toBe(2);
    await writeFile(file, shop.replace('203.0.113.10', 'nowhere'));
    expect((await run('diff', '-f', file)).exitCode).toBe(2);
  });
});

describe('get', () => {
  beforeEach(async () => {
    await run('apply', '-f', file);
  });

  it('mappings, in both directions', async () => {
    const all = await run('get', 'mappings', '-o', 'wide');
    expect(all.exitCode).toBe(0);
    for (const part of ['203.0.113.10:500', 'vm-1', '10.0.0.4:443', '500-1499']) {
      expect(all.stdout).toContain(part);
    }
    const back = await run('get', 'mappings', '--frontend', '203.0.113.10:501', '-o', 'json');
    const { mappings } = JSON.parse(back.stdout);
    expect(mappings).toMatchObject([{ member: 'vm-2', backendAddress: '10.0.0.5', frontendPort: 501 }]);
    const six = await run(
      'get',
      'mappings',
      '--frontend',
      '[2001:db8:f::10]:601',
      '--no-counters',
      '-o',
      'json',
    );
    expect(JSON.parse(six.stdout).mappings).toMatchObject([{ member: 'fd00:10::4', backendPort: 5301 }]);
    expect(JSON.parse(six.stdout).mappings[0]).not.toHaveProperty('counters');
  });

  it('lb -o yaml is a file that apply takes, and that differs in nothing', async () => {
    const { stdout } = await run('get', 'lb', '-o', 'yaml');
    expect((await lab.penstock(['diff', '-f', '-'], { input: stdout, reject: false })).stdout).toBe(
      'no differences',
    );
    const before = await listLoadBalancers(client);
    const mappings = ports(await listMappings(client));
    await client.apply({ changes: { deleteLoadBalancers: ['shop'] } });
    expect((await lab.penstock(['apply', '-f', '-'], { input: stdout })).exitCode).toBe(0);
    expect(await listLoadBalancers(client)).toEqual(before);
    expect(ports(await listMappings(client))).toEqual(mappings);
    const json = await run('get', 'lb', 'shop', '-o', 'json');
    expect((await lab.penstock(['diff', '-f', '-'], { input: json.stdout, reject: false })).exitCode).toBe(0);
  });

  it('of what there is not ends with 1', async () => {
    const unknown = await run('get', 'lb', 'nobody');
    expect(unknown.exitCode).toBe(1);
    expect(unknown.stderr).toContain('nobody');
  });
});

describe('member', () => {
  beforeEach(async () => {
    await run('apply', '-f', file);
  });

  it('add gives ports at once, and leaves what is not said as it is', async () => {
    const added = await run('member', 'add', 'shop', 'vms', 'vm-3=10.0.0.8', '10.0.0.9');
    expect(added.exitCode).toBe(0);
    expect(added.stdout).toContain('203.0.113.10:502/tcp -> vm-3 (10.0.0.8:443)');
    expect(added.stdout).toContain('203.0.113.10:503/tcp -> 10.0.0.9:443');
    await run('member', 'add', 'shop', 'vms', 'vm-2=10.0.0.15');
    const [shopNow] = await listLoadBalancers(client, { name: 'shop' });
    expect(shopNow?.backendPools[0]?.members[1]).toMatchObject({
      id: 'vm-2',
      address: '10.0.0.15',
      weight: 2,
      adminState: 4,
    });
    expect(ports(await listMappings(client, { rule: 'tls', member: 'vm-2' }))).toEqual(['vm-2:501']);
    const up = await run('member', 'add', 'shop', 'vms', 'vm-2=10.0.0.15', '--admin-state', 'UP');
    expect(up.exitCode).toBe(0);
  });

  it('add with a pin that is taken ends with 1', async () => {
    const refused = await run('member', 'add', 'shop', 'vms', 'vm-4=10.0.0.8', '--pin', 'tls=500');
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('PIN_TAKEN');
    const pinned = await run('member', 'add', 'shop', 'vms', 'vm-4=10.0.0.8', '--pin', 'tls=777');
    expect(pinned.stdout).toContain('203.0.113.10:777/tcp -> vm-4');
  });

  it('remove frees the port; of nobody it ends with 1', async () => {
    const removed = await run('member', 'remove', 'shop', 'vms', 'vm-1');
    expect(removed.exitCode).toBe(0);
    expect(removed.stdout).toContain('- shop/tls: 203.0.113.10:500/tcp -> vm-1');
    const unknown = await run('member', 'remove', 'shop', 'vms', 'vm-1');
    expect(unknown.exitCode).toBe(1);
    expect(unknown.stderr).toContain('NOT_FOUND');
  });
});

describe('delete', () => {
  it('takes load balancers by name or file; what is not there ends with 1', async () => {
    await run('apply', '-f', file);
    expect((await run('delete', '-f', file, '--dry-run')).exitCode).toBe(0);
    expect(await declared()).toEqual(['shop']);
    expect((await run('delete', '-f', file)).exitCode).toBe(0);
    expect(await declared()).toEqual([]);
    const unknown = await run('delete', 'lb', 'shop');
    expect(unknown.exitCode).toBe(1);
    expect(unknown.stderr).toContain('shop');
  });
});

describe('watch', () => {
  it('-o json writes one event a line, until it is interrupted', async () => {
    await run('apply', '-f', file);
    const watching = lab.spawn(
      'gateway',
      [join(import.meta.dirname, '../../scripts/penstock'), 'watch', '-o', 'json'],
      {
        reject: false,
      },
    );
    const lines: string[] = [];
    const reading = (async () => {
      for await (const line of watching) lines.push(String(line));
    })();
    await expect.poll(() => lines.length, { timeout: 10_000 * slowness }).toBe(1);
    await client.apply({
      changes: { deleteMembers: [{ loadBalancer: 'shop', backendPool: 'vms', ids: ['vm-1'] }] },
    });
    await expect.poll(() => lines.length, { timeout: 10_000 * slowness }).toBe(2);
    watching.kill('SIGINT');
    await reading;
    expect((await watching).exitCode).toBe(0);
    const [snapshot, event] = lines.map((line) => JSON.parse(line));
    expect(snapshot.applied.assigned).toHaveLength(5);
    expect(event.applied.released).toMatchObject([{ member: 'vm-1', frontendPort: 500 }]);
    expect(Number(event.revision)).toBe(Number(snapshot.revision) + 1);
  });
});

describe('status', () => {
  it('says what the gateway runs', async () => {
    await run('apply', '-f', file);
    const { exitCode, stdout } = await run('status');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/data plane\s+nftables: nftables v/);
    expect(stdout).toMatch(/rules\s+3 inbound NAT, 1 load balancing/);
    expect(stdout).toMatch(/port mappings\s+5/);
    expect(stdout).toMatch(/warnings\s+none/);
    const json = JSON.parse((await run('status', '-o', 'json')).stdout);
    expect(Number(json.revision)).toBe(await revisionOf(client));
  });
});
