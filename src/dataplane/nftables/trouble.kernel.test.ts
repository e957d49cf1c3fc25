// What must not go wrong: commits of every size, programs killed at any moment, other hands on the table, hosts that lack something.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { portion } from '../../../test/packets/portion.ts';
import { CommitFailed, DataPlaneUnavailable } from '../dataplane.ts';
import { openNetlinkSocket } from '../netlink/socket.ts';
import { readShape } from './kernel.ts';
import { NftablesDataPlane } from './plane.ts';
import { gatewayUnderTest, logger, pause } from './testing/gateway.ts';
import { endpoint, nat, table, unchanged } from './testing/tables.ts';

const front4 = '203.0.113.1';
const front6 = '2001:db8:f::1';
const gateway = gatewayUnderTest(1);
const one = nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080);

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'penstock-test-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe('a commit', () => {
  it('works with any number of operations, at every border between the ways of telling nft', async () => {
    const { plane, stamp, knock } = gateway;
    await plane.load(table([one]), stamp());
    // Two elements each, and two operations for the stamp: 2, 4, 40, 42, 162, 5000 and 5002 operations.
    for (const count of [0, 1, 19, 20, 80, 2499, 2500]) {
      const added = Array.from({ length: count }, (_, index) =>
        nat(endpoint(front6, 'tcp', 10_000 + index), 'fd01::1', 8080),
      );
      await plane.commit({ ...unchanged, added }, stamp());
      expect(await plane.verify()).toEqual({ kind: 'intact' });
      if (count > 0) expect(await knock('tcp', front6, 10_000 + count - 1)).toBe('m1:8080');
      await plane.commit({ ...unchanged, removed: added }, stamp());
      await expect(knock('tcp', front6, 10_000)).rejects.toThrow('refused');
      expect(await knock('tcp', front4, 501)).toBe('m1:8080');
    }
  });
});

describe('the first entries, when they are many', () => {
  const many = Array.from({ length: 5_001 }, (_, index) =>
    nat(endpoint(front6, 'tcp', 10_000 + index), 'fd01::1', 8080),
  );

  it('come all at once, and like any others', async () => {
    const { plane, stamp, knock } = gateway;
    await plane.load(table([]), stamp());
    const latest = stamp();
    await plane.commit({ ...unchanged, added: many }, latest);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect(await knock('tcp', front6, 15_000)).toBe('m1:8080');
    expect((await plane.counters(many.slice(-1))).get(many[5_000] ?? one)).toMatchObject({ flows: 1 });
    await plane.commit({ ...unchanged, added: [one], removed: many.slice(0, 1) }, stamp());
    expect(await knock('tcp', front4, 501)).toBe('m1:8080');
    await expect(knock('tcp', front6, 10_000)).rejects.toThrow('refused');
    await plane.commit({ ...unchanged, removed: [one, ...many.slice(1)] }, stamp());
  });

  it('leave the empty table as it was where the kernel refuses them', async () => {
    const { plane, stamp, knock } = gateway;
    await plane.load(table([]), stamp());
    const twice = nat(endpoint(front6, 'tcp', 10_000), 'fd01::1', 9090);
    await expect(plane.commit({ ...unchanged, added: [...many, twice] }, stamp())).rejects.toThrow(
      CommitFailed,
    );
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await expect(knock('tcp', front6, 10_000)).rejects.toThrow('refused');
    await plane.commit({ ...unchanged, added: [one] }, stamp());
    expect(await knock('tcp', front4, 501)).toBe('m1:8080');
  });
});

describe('an agent that is killed', () => {
  /** In milliseconds, of a real processor. What an emulated one does in them is a matter of chance, so one is as good as four. */
  const moments = portion < 1 ? [250] : [50, 250, 450, 650];

  /** Loads one entry or none, says so, and then commits so many more. */
  const killed = (modules: string, scratch: string, count: number, loaded: 'one' | 'none'): string => `
    import { NftablesDataPlane } from '${modules}plane.ts';
    import { endpoint, nat, table, unchanged } from '${modules}testing/tables.ts';
    const logger = { warn() {}, error() {} };
    const plane = new NftablesDataPlane({ logger, scratchDirectory: '${scratch}' });
    const one = nat(endpoint('${front4}', 'tcp', 501), '10.1.0.1', 8080);
    const added = Array.from({ length: ${count} }, (_, index) =>
      nat(endpoint('${front4}', 'udp', 1000 + index), '10.1.0.1', 8080));
    await plane.open();
    await plane.load(table(${loaded === 'one' ? '[one]' : '[]'}), { instance: '00000000000000a1', revision: 1 });
    console.log('loaded');
    await plane.commit({ ...unchanged, added }, { instance: '00000000000000a1', revision: 2 });
    console.log('committed');
    process.exit();`;

  /** Starts such an agent, and kills it so many milliseconds after its load. */
  async function killedAfter(delay: number, loaded: 'one' | 'none'): Promise<void> {
    const program = join(directory, 'agent.ts');
    await writeFile(program, killed(new URL('./', import.meta.url).pathname, directory, 20_000, loaded));
    const agent = execa(process.execPath, [program], { reject: false, buffer: false, stdout: 'pipe' });
    for await (const chunk of agent.stdout) if (String(chunk).includes('loaded')) break;
    await pause(delay);
    agent.kill('SIGKILL');
    await agent;
  }

  const orphans = async (): Promise<string> =>
    (await execa('pgrep', ['-f', `nft -j -f ${directory}`], { reject: false })).stdout;

  it.each(moments)('filling an empty table leaves it to the next one to load, after %i ms', async (delay) => {
    const { plane, knock } = gateway;
    await plane.close();
    await killedAfter(delay, 'none');
    while ((await orphans()) !== '') await pause(20);
    const next = new NftablesDataPlane({ logger, scratchDirectory: directory });
    const found = (await next.open()).stamp;
    const refused = knock('udp', front4, 1000);
    // All of it, or nothing of it.
    if (found?.revision === 2) expect(await refused).toBe('m1:8080');
    else await expect(refused).rejects.toThrow('refused');
    await next.load(table([one]), { instance: '00000000000000a1', revision: 3 });
    expect(await next.verify()).toEqual({ kind: 'intact' });
    expect(await knock('tcp', front4, 501)).toBe('m1:8080');
    await expect(knock('udp', front4, 1000)).rejects.toThrow('refused');
    await next.close();
    await plane.open();
  });

  it.each(moments)('leaves what the next one sees and repairs, after %i ms', async (delay) => {
    const { plane, knock } = gateway;
    await plane.close();
    await killedAfter(delay, 'one');
    const next = new NftablesDataPlane({ logger, scratchDirectory: directory });
    const { stamp: found } = await next.open();
    expect(found).toMatchObject({ instance: '00000000000000a1' });
    const other = nat(endpoint(front4, 'tcp', 502), '10.1.0.1', 9090);
    const stamp = { instance: '00000000000000a1', revision: 3 };
    await next.commit({ ...unchanged, added: [other] }, stamp);
    while ((await orphans()) !== '') await pause(20);
    // What it had begun is in the kernel before, or it is seen.
    const before = found?.revision === 2;
    expect((await plane.open()).stamp?.revision).toBeGreaterThan(0);
    const verdict = await next.verify();
    const elements = Number(
      (await execa('nft', ['list', 'map', 'inet', 'penstock', 'nat4'])).stdout.match(/udp/g)?.length ?? 0,
    );
    if (verdict.kind === 'intact') expect(elements).toBe(before ? 20_000 : 0);
    await next.load(table([one, other]), stamp);
    expect(await next.verify()).toEqual({ kind: 'intact' });
    expect(await knock('tcp', front4, 502)).toBe('m1:9090');
    await expect(knock('udp', front4, 1000)).rejects.toThrow('refused');
    await next.close();
    expect((await readdir(directory)).filter((name) => name.startsWith('penstock-'))).toEqual([]);
  });
});

describe('other hands on the table', () => {
  it.each([
    ['as the kernel tells', {}],
    ['listed', { elementCounts: 'listed' }],
  ] as const)('are seen, whatever they do to its elements and rules: numbers %s', async (_, options) => {
    const { stamp, knock } = gateway;
    const plane = new NftablesDataPlane({ logger, ...options });
    await plane.open();
    await plane.load(table([one]), stamp());
    const inTable = ['inet', 'penstock'];
    const key = `${front4} . tcp . 501`;
    const handle = (await execa('nft', ['-a', 'list', 'chain', ...inTable, 'live_nat4'])).stdout.match(
      /accept # handle (\d+)$/m,
    )?.[1];
    for (const command of [
      ['delete', 'element', ...inTable, 'nat4', `{ ${key} }`],
      ['add', 'element', ...inTable, 'nat4', `{ ${front4} . tcp . 777 : 10.1.0.1 . 22 }`],
      ['flush', 'set', ...inTable, 'nat_live4'],
      ['flush', 'set', ...inTable, 'gate'],
      ['delete', 'rule', ...inTable, 'live_nat4', 'handle', handle ?? ''],
      ['insert', 'rule', ...inTable, 'prerouting', 'accept'],
      ['add', 'table', ...inTable, '{ flags dormant; }'],
    ]) {
      await execa('nft', command);
      expect((await plane.verify()).kind, command.join(' ')).toBe('damaged');
      await plane.load(table([one]), stamp());
      expect(await plane.verify()).toEqual({ kind: 'intact' });
      expect(await knock('tcp', front4, 501)).toBe('m1:8080');
    }
    const other = nat(endpoint(front4, 'tcp', 502), '10.1.0.1', 8080);
    await plane.commit({ ...unchanged, added: [other] }, stamp());
    await execa('nft', ['add', 'table', 'inet', 'penstock_other']);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await execa('nft', ['delete', 'table', 'inet', 'penstock_other']);
    await execa('nft', [
      'delete',
      'element',
      ...inTable,
      'nat_live4',
      `{ ${front4} . tcp . 502 . 10.1.0.1 . 8080 }`,
    ]);
    expect((await plane.verify()).kind).toBe('damaged');
    await plane.close();
  });

  it('are seen in a table of more elements than are listed, where the kernel tells their numbers', async () => {
    const { stamp } = gateway;
    const many = Array.from({ length: 6_000 }, (_, index) =>
      nat(endpoint(front4, 'udp', 1000 + index), '10.1.0.1', 8080),
    );
    const socket = await openNetlinkSocket();
    for (const elementCounts of ['told', 'listed'] as const) {
      const plane = new NftablesDataPlane({ logger, ...(elementCounts === 'listed' && { elementCounts }) });
      await plane.open();
      await plane.load(table(many), stamp());
      const told = elementCounts === 'told' && readShape(socket).elements.size > 0;
      await execa('nft', ['delete', 'element', 'inet', 'penstock', 'nat4', `{ ${front4} . udp . 1000 }`]);
      expect((await plane.verify()).kind).toBe(told ? 'damaged' : 'intact');
      await plane.close();
    }
    socket.close();
  });

  it('are seen when they are another agent', async () => {
    const { plane, stamp, knock } = gateway;
    const other = new NftablesDataPlane({ logger });
    await plane.load(table([one]), stamp());
    await other.open();
    await other.commit(unchanged, stamp());
    expect((await plane.verify()).kind).toBe('damaged');
    await plane.load(table([one]), stamp());
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect((await other.verify()).kind).toBe('damaged');
    expect(await knock('tcp', front4, 501)).toBe('m1:8080');
    await other.close();
  });
});

describe('a host that lacks something', () => {
  const path = process.env.PATH;
  afterEach(() => {
    process.env.PATH = path;
  });

  it.each([
    ['jhash', ['NFT_HASH_MISSING']],
    ['masquerade', ['NFT_NAT_MISSING']],
    ['ct mark', ['NFT_CT_MISSING']],
    ['counter;', ['NFT_SET_COUNTERS_MISSING']],
    ['ct count', ['NFT_LIMITS_MISSING']],
    ['live_nat4', ['NFT_RULESET_REFUSED']],
    [
      'table',
      [
        'NF_TABLES_MISSING',
        'NFT_NAT_MISSING',
        'NFT_CT_MISSING',
        'NFT_HASH_MISSING',
        'NFT_SET_COUNTERS_MISSING',
        'NFT_LIMITS_MISSING',
      ],
    ],
  ])('is told what, and what to do: no %s', async (lacking, codes) => {
    const real = (await execa('sh', ['-c', 'command -v nft'])).stdout;
    const script = `#!/bin/sh
[ "$1" = -c ] || exec ${real} "$@"
input=$(cat)
case "$input" in *'${lacking}'*) echo "Error: No such file or directory" >&2; exit 1;; esac
echo "$input" | ${real} "$@"`;
    await writeFile(join(directory, 'nft'), script, { mode: 0o755 });
    process.env.PATH = `${directory}:${path}`;
    const failure = await new NftablesDataPlane({ logger }).open().catch((error) => error);
    expect(failure).toBeInstanceOf(DataPlaneUnavailable);
    expect(failure.findings.map(({ code }: { code: string }) => code)).toEqual(codes);
    for (const { remedy } of failure.findings) expect(remedy).toMatch(/\w/);
  });

  it('needs no names of protocols and ports: netbase is not on every host', async () => {
    const real = (await execa('sh', ['-c', 'command -v nft'])).stdout;
    const nameless = 'for file in protocols services; do mount --bind /dev/null /etc/$file; done 2>/dev/null';
    const script = `#!/bin/sh\nexec unshare --mount sh -c '${nameless}; exec ${real} "$@"' nft "$@"`;
    await writeFile(join(directory, 'nft'), script, { mode: 0o755 });
    process.env.PATH = `${directory}:${path}`;
    const plane = new NftablesDataPlane({ logger });
    await plane.open();
    await plane.load(table([one]), gateway.stamp());
    const more = nat(endpoint(front6, 'udp', 502), 'fd01::1', 5300);
    await plane.commit({ ...unchanged, added: [more] }, gateway.stamp());
    expect(await gateway.knock('tcp', front4, 501)).toBe('m1:8080');
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect((await plane.counters([one, more])).get(one)).toMatchObject({ flows: 1 });
    await plane.close();
  });

  it('is told that it does not permit it', async () => {
    const program = join(directory, 'agent.ts');
    const modules = new URL('./', import.meta.url).pathname;
    await writeFile(
      program,
      `import { NftablesDataPlane } from '${modules}plane.ts';
       const error = await new NftablesDataPlane({ logger: { warn() {}, error() {} } }).open().catch((error) => error);
       console.log(JSON.stringify(error.findings.map(({ code }) => code)));`,
    );
    const { stdout } = await execa('setpriv', [
      '--bounding-set=-net_admin',
      '--inh-caps=-net_admin',
      process.execPath,
      program,
    ]);
    expect(JSON.parse(stdout)).toEqual(['NFT_NOT_PERMITTED']);
  });
});
