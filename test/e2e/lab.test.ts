// The lab itself, without the agent: what the other end-to-end tests stand on.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab } from '../lab/lab.ts';
import { existingNamespaces, inLanes } from '../lab/namespaces.ts';
import { isRunning, processesIn } from '../lab/processes.ts';
import type { Outcome } from '../lab/traffic/message.ts';

const name = `lab-test-${process.pid}`;
const forwarding = ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];

async function hostNetwork(): Promise<string> {
  const commands = [
    ['ip', '-o', 'link'],
    ['ip', '-o', 'address'],
    ['ip', 'route', 'show', 'table', 'all'],
    ['nft', 'list', 'ruleset'],
    ['sysctl', 'net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding', 'net.ipv4.conf.all.rp_filter'],
  ];
  const parts = commands.map(async ([file = '', ...args]) => (await execa(file, args)).stdout);
  // Address lifetimes run down by themselves.
  return (await Promise.all(parts)).join('\n').replaceAll(/(valid_lft|preferred_lft|expires) \S+/g, '');
}

function machines(outcomes: readonly Outcome[]): readonly string[] {
  return outcomes.map((outcome) => ('answer' in outcome ? outcome.answer.machine : outcome.lost));
}

afterEach(async () => {
  for (const suffix of ['', '-a', '-b']) await Lab.remove(`${name}${suffix}`);
});

describe('a lab', () => {
  it('leaves nothing behind, and the host as it was', async () => {
    const before = await hostNetwork();
    const lab = await Lab.up({ name, backends: 3 });
    const stray = lab.spawn('b2', ['sleep', '600'], { reject: false });
    const namespaces = await existingNamespaces(name);
    expect(namespaces).toHaveLength(6);
    const processes = await processesIn(namespaces);
    expect(processes.length).toBeGreaterThanOrEqual(5);
    expect(await hostNetwork()).toBe(before);

    await lab.down();

    await stray;
    expect(await existingNamespaces(name)).toEqual([]);
    expect(await Promise.all(processes.map(isRunning))).not.toContain(true);
    await expect(access(lab.directory)).rejects.toThrow('ENOENT');
    expect(await hostNetwork()).toBe(before);
  });

  it('routes between client and machines once forwarding is on, and shows who answers whom', async () => {
    await using lab = await Lab.up({ name, backends: 2 });
    await using traffic = await lab.traffic();
    const requests = lab.backends.flatMap(({ address, address6 }) =>
      [address, address6].flatMap((host) => [
        { scheme: 'http' as const, address: host, port: 80 },
        { scheme: 'https' as const, address: host, port: 443 },
        { scheme: 'udp' as const, address: host, port: 5300 },
      ]),
    );
    const [refused] = await traffic.ask([{ scheme: 'http', address: '10.0.0.4', port: 80, timeout: 300 }]);
    expect(refused).toHaveProperty('lost');

    await lab.exec('gateway', forwarding);

    const outcomes = await traffic.ask(requests);
    expect(machines(outcomes)).toEqual([...Array(6).fill('b1'), ...Array(6).fill('b2')]);
    expect(outcomes[0]).toMatchObject({
      status: 200,
      answer: { scheme: 'http', address: '10.0.0.4', port: 80, client: '198.51.100.10' },
    });
    expect(outcomes[4]).toMatchObject({
      answer: { scheme: 'https', address: 'fd00:10::4', client: '2001:db8:c::10' },
    });
  });

  it('brings frontends to the gateway', async () => {
    await using lab = await Lab.up({ name, backends: 1 });
    await lab.exec('gateway', forwarding);
    await lab.exec('gateway', ['nft', '-f', '-'], {
      input: `table inet t { chain c { type nat hook prerouting priority dstnat
        ip daddr 203.0.113.10 tcp dport 500 dnat ip to 10.0.0.4:443
        ip6 daddr 2001:db8:f::10 tcp dport 500 dnat ip6 to [fd00:10::4]:443
      }
      }`,
    });
    await using traffic = await lab.traffic();
    const hosts = ['203.0.113.10', '2001:db8:f::10'];
    expect(
      machines(await traffic.ask(hosts.map((address) => ({ scheme: 'https', address, port: 500 })))),
    ).toEqual(['b1', 'b1']);
  });

  it('stands beside another one', async () => {
    const [first, second] = await Promise.all(
      ['-a', '-b'].map((suffix) => Lab.up({ name: `${name}${suffix}`, backends: 1 })),
    );
    const ask = async (lab: Lab | undefined): Promise<string | undefined> =>
      (await lab?.exec('gateway', ['curl', '-s', 'http://10.0.0.4']))?.stdout;
    expect(await ask(first)).toContain('"b1"');
    await first?.down();
    expect(await ask(second)).toContain('"b1"');
    expect(await existingNamespaces(`${name}-b`)).toHaveLength(4);
  });

  it('lets machines come, go, stop and fail their probe', async () => {
    await using lab = await Lab.up({ name, backends: 2 });
    await lab.exec('gateway', forwarding);
    await using traffic = await lab.traffic();
    const added = await lab.addBackend();
    expect(added.node).toBe('b3');
    const request = (address: string, path = '/') =>
      ({ scheme: 'http', address, port: 80, path, timeout: 1_000 }) as const;
    expect(machines(await traffic.ask([request(added.address)]))).toEqual(['b3']);

    await lab.removeBackend('b1');
    expect(lab.backends.map(({ node }) => node)).toEqual(['b2', 'b3']);
    expect((await traffic.ask([request('10.0.0.4')]))[0]).toHaveProperty('lost');
    expect((await lab.addBackend()).node).toBe('b1');

    await lab.stopServers('b2');
    expect(machines(await traffic.ask([request('10.0.0.5')]))[0]).toContain('ECONNREFUSED');
    await lab.startServers('b2');
    await lab.setHealth('b2', 503);
    const outcomes = await traffic.ask([request('10.0.0.5', '/health'), request('10.0.0.5')]);
    expect(outcomes).toMatchObject([{ status: 503 }, { status: 200 }]);
  });

  it('counts a steady load, and says when what was under way has ended', async () => {
    await using lab = await Lab.up({ name, backends: 2 });
    await lab.exec('gateway', forwarding);
    await using traffic = await lab.traffic();
    const stream = (address: string, expected: string) => ({
      name: address,
      perSecond: 100,
      expect: [expected],
      request: { scheme: 'http', address, port: 80, path: '/?delay=100' } as const,
    });
    await traffic.load([
      stream('10.0.0.4', 'b1'),
      stream('10.0.0.5', 'b1'),
      { ...stream('10.0.0.4', 'b1'), name: 'held', held: true },
    ]);
    await expect.poll(() => traffic.tally().sent).toBeGreaterThan(50);
    await traffic.load([]);
    const { sent, right, wrong, lost, byStream, complaints } = traffic.tally();
    expect(lost).toBe(0);
    expect(wrong).toBeGreaterThan(0);
    expect(right + wrong).toBe(sent);
    expect(byStream.get('held')?.get('b1')).toBeGreaterThan(0);
    expect(complaints[0]).toBe('10.0.0.5: b2 answered instead of b1');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(traffic.tally().sent).toBe(sent);
  });

  it('reports a held connection that was cut', async () => {
    await using lab = await Lab.up({ name, backends: 1 });
    await lab.exec('gateway', forwarding);
    await using traffic = await lab.traffic();
    const request = { scheme: 'https', address: '10.0.0.4', port: 443 } as const;
    await traffic.load([{ name: 'held', held: true, perSecond: 50, expect: ['b1'], request }]);
    await expect.poll(() => traffic.tally().right).toBeGreaterThan(5);
    await lab.stopServers('b1');
    await lab.startServers('b1');
    await expect.poll(() => traffic.tally().lost).toBeGreaterThan(0);
  });

  it('refuses a name that is taken, and clears away what a process that died has left', async () => {
    await using lab = await Lab.up({ name, backends: 1 });
    await expect(Lab.up({ name, backends: 1 })).rejects.toThrow('is up already');
    const program = `
      const { Lab } = await import(${JSON.stringify(new URL('../lab/lab.ts', import.meta.url).href)});
      await Lab.up({ name: '${name}-a', backends: 1 });
      process.kill(process.pid, 'SIGKILL');`;
    await execa(process.execPath, ['--input-type=module', '-e', program], { reject: false });
    expect(await existingNamespaces(`${name}-a`)).toHaveLength(4);
    await using again = await Lab.up({ name: `${name}-a`, backends: 2 });
    expect(await existingNamespaces(again.name)).toHaveLength(5);
    expect(lab.backends).toHaveLength(1);
  });

  it('ends with the process that is interrupted', async () => {
    const program = `
      const { Lab } = await import(${JSON.stringify(new URL('../lab/lab.ts', import.meta.url).href)});
      await Lab.up({ name: '${name}', backends: 1 });
      setTimeout(() => {}, 600_000);
      process.stdout.write('up');`;
    const child = execa(process.execPath, ['--input-type=module', '-e', program], { reject: false });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect((await child).signal).toBe('SIGINT');
    expect(await existingNamespaces(name)).toEqual([]);
    await expect(access(join('/run/penstock-lab', name))).rejects.toThrow('ENOENT');
  });

  it('is used from the command line', async () => {
    const lab = new URL('../../scripts/lab', import.meta.url).pathname;
    const up = await execa(lab, ['up', '--name', name, '--backends', '1', '--no-agent']);
    expect(up.stdout).toContain(`Lab "${name}" is up`);
    const answer = await execa(lab, ['exec', '--name', name, 'gateway', '--', 'curl', '-s', '10.0.0.4']);
    expect(JSON.parse(answer.stdout)).toMatchObject({ machine: 'b1', port: 80, client: '10.0.0.1' });
    const failed = await execa(lab, ['exec', '--name', name, 'b1', 'sh', '-c', 'exit 7'], { reject: false });
    expect(failed.exitCode).toBe(7);
    expect((await execa(lab, ['status'])).stdout).toContain(`${name}: 1 machines, nftables, no agent`);
    await execa(lab, ['down', '--name', name]);
    expect(await existingNamespaces(name)).toEqual([]);
  });
});

describe('inLanes', () => {
  it('works every item off once', async () => {
    const seen: number[] = [];
    await Promise.all(
      inLanes(3, [1, 2, 3, 4, 5], async (item) => {
        seen.push(item);
      }),
    );
    expect(seen.toSorted()).toEqual([1, 2, 3, 4, 5]);
  });
});
