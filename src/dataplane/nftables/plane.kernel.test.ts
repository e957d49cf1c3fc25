// What the rules do to real packets, in network namespaces. Needs root, nft, ip and python3, and fails without.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { slotOf } from '../../forwarding/hash.ts';
import type { Affinity, Entry, RingSize } from '../../forwarding/table.ts';
import { CommitFailed, type Counters, DataPlaneUnavailable, type Stamp } from '../dataplane.ts';
import { NftablesDataPlane } from './plane.ts';
import { answersTo, pause, untilAnswered } from './testing/gateway.ts';
import { buildLab, type Lab, ownNetwork } from './testing/lab.ts';
import { address, balanced, endpoint, nat, ring, table, unchanged } from './testing/tables.ts';

const front4 = '203.0.113.1';
const front6 = '2001:db8:f::1';
const machines4 = ['10.1.0.1', '10.1.0.2', '10.1.0.3'];
const logger = pino({ level: 'silent' });

let lab: Lab;
let plane: NftablesDataPlane;
let revision = 0;

function stamp(): Stamp {
  revision += 1;
  return { instance: '00000000000000a1', revision };
}

beforeAll(async () => {
  ownNetwork();
  lab = await buildLab(3);
});
afterAll(async () => {
  await lab?.close();
});
beforeEach(async () => {
  plane = new NftablesDataPlane({ logger });
  await plane.open();
});
afterEach(async () => {
  await lab.client.rest();
  await plane.flush();
  await plane.close();
});

/** Opens one flow, asks once and closes; gives the machine that answered. */
async function knock(transport: 'tcp' | 'udp', to: string, port: number, host = lab.client): Promise<string> {
  await host.connect('knock', transport, to, port);
  try {
    return (await host.ask('knock')).name;
  } finally {
    await host.close('knock');
  }
}

describe('one to one', () => {
  it('forwards TCP and UDP over IPv4 and IPv6, and leaves the client address', async () => {
    const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
      nat(endpoint(front4, transport, 501), '10.1.0.1', 8080),
      nat(endpoint(front4, transport, 502), '10.1.0.2', 9090),
      nat(endpoint(front6, transport, 501), 'fd01::1', 8080),
    ]);
    await plane.load(table(entries), stamp());
    for (const transport of ['tcp', 'udp'] as const) {
      expect(await knock(transport, front4, 501)).toBe('m1:8080');
      expect(await knock(transport, front4, 502)).toBe('m2:9090');
      expect(await knock(transport, front6, 501)).toBe('m1:8080');
    }
    await lab.client.connect('one', 'tcp', front4, 501, 33333);
    expect((await lab.client.ask('one')).peer).toBe('10.0.0.2/33333');
    await lab.client.close('one');
    await expect(knock('tcp', front4, 503)).rejects.toThrow('refused');
  });

  it('prefers one port to every port', async () => {
    const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
      nat(endpoint(front4, transport, 0), '10.1.0.1', 0),
      nat(endpoint(front4, transport, 8080), '10.1.0.2', 8080),
    ]);
    await plane.load(table(entries), stamp());
    for (const transport of ['tcp', 'udp'] as const) {
      expect(await knock(transport, front4, 9090)).toBe('m1:9090');
      expect(await knock(transport, front4, 8080)).toBe('m2:8080');
    }
  });

  it('brings ICMP errors about a flow back to its client', async () => {
    const entries = [
      nat(endpoint(front4, 'udp', 501), '10.1.0.1', 7777),
      nat(endpoint(front6, 'udp', 501), 'fd01::1', 7777),
      balanced(endpoint(front4, 'udp', 502), 7, 7777),
    ];
    await plane.load(table(entries, [ring(7, ['10.1.0.1'])]), stamp());
    await expect(knock('udp', front4, 501)).rejects.toThrow('refused');
    await expect(knock('udp', front6, 501)).rejects.toThrow('refused');
    await expect(knock('udp', front4, 502)).rejects.toThrow('refused');
  });

  it('masquerades where the rule says so, by one port and by every port', async () => {
    const entries = [
      nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080, true),
      nat(endpoint('203.0.113.2', 'tcp', 0), '10.1.0.1', 0, true),
      nat(endpoint(front6, 'tcp', 501), 'fd01::1', 8080, true),
    ];
    await plane.load(table(entries), stamp());
    for (const [to, port, seen] of [
      [front4, 501, '10.1.0.254/'],
      ['203.0.113.2', 8080, '10.1.0.254/'],
      [front6, 501, 'fd01::fe/'],
    ] as const) {
      await lab.client.connect('masked', 'tcp', to, port);
      expect((await lab.client.ask('masked')).peer).toContain(seen);
      await lab.client.close('masked');
    }
  });

  it('lets a machine reach its own frontend, and the gateway every frontend', async () => {
    const entries = (['tcp', 'udp'] as const).flatMap((transport) => [
      nat(endpoint(front4, transport, 501), '10.1.0.1', 8080),
      nat(endpoint(front4, transport, 502), '10.1.0.2', 8080),
      nat(endpoint(front6, transport, 501), 'fd01::1', 8080),
    ]);
    await plane.load(table(entries), stamp());
    for (const host of [lab.machines[0], lab.gateway]) {
      for (const transport of ['tcp', 'udp'] as const) {
        expect(await knock(transport, front4, 501, host)).toBe('m1:8080');
        expect(await knock(transport, front4, 502, host)).toBe('m2:8080');
        expect(await knock(transport, front6, 501, host)).toBe('m1:8080');
      }
    }
  });

  it('counts packets, bytes and flows once, both ways', async () => {
    const one = nat(endpoint(front4, 'udp', 501), '10.1.0.1', 8080, true);
    const other = nat(endpoint(front6, 'udp', 502), 'fd01::1', 8080);
    const any = nat(endpoint('203.0.113.2', 'udp', 0), '10.1.0.2', 0);
    const absent = nat(endpoint(front4, 'udp', 999), '10.1.0.1', 8080);
    await plane.load(table([one, other, any]), stamp());
    const expected = new Map<unknown, Counters>();
    for (const [entry, to, port] of [
      [one, front4, 501],
      [other, front6, 502],
      [any, '203.0.113.2', 8080],
    ] as const) {
      await lab.client.connect('counted', 'udp', to, port);
      let bytes = 0;
      const header = to.includes(':') ? 48 : 28;
      for (let times = 0; times < 5; times += 1) {
        const { name, peer } = await lab.client.ask('counted');
        bytes += 2 * header + 100 + JSON.stringify([name, peer]).length + 1;
      }
      await lab.client.close('counted');
      expected.set(entry, { packets: 10, bytes, flows: 1 });
    }
    const read = await plane.counters([one, other, any, absent]);
    expect(new Map(read)).toEqual(expected);
  });
});

describe('a change', () => {
  it('ends the TCP and UDP flows of a removed mapping, and no other notices', async () => {
    const gone = (['tcp', 'udp'] as const).map((transport) =>
      nat(endpoint(front4, transport, 501), '10.1.0.1', 8080),
    );
    const kept = (['tcp', 'udp'] as const).map((transport) =>
      nat(endpoint(front4, transport, 502), '10.1.0.1', 8080),
    );
    await plane.load(table([...gone, ...kept]), stamp());
    await lab.client.connect('gone', 'tcp', front4, 501);
    await lab.client.ask('gone');
    await lab.client.connect('kept', 'tcp', front4, 502);
    await lab.client.ask('kept');
    await lab.client.send('gone', front4, 501);
    await lab.client.send('kept', front4, 502);
    for (const key of ['gone', 'kept']) await untilAnswered(lab.client, key, 'm1:8080');
    await plane.commit(
      {
        ...unchanged,
        removed: gone,
        ending: gone.map(({ endpoint: at, target }) => ({
          kind: 'nat',
          endpoint: at,
          backend: target.address,
        })),
      },
      stamp(),
    );
    // What had reached the machine before is answered by now: it answers both senders in turn.
    await lab.client.heard('kept');
    await answersTo(lab.client, 'kept', 20);
    await lab.client.heard('gone');
    expect(Object.keys(await answersTo(lab.client, 'kept', 20))).toEqual(['m1:8080']);
    const heard = await lab.client.heard('gone');
    expect(heard.sent).toBeGreaterThan(0);
    expect(heard.answers).toEqual({});
    await expect(lab.client.ask('gone')).rejects.toThrow('reset');
    expect((await lab.client.ask('kept')).name).toBe('m1:8080');
  });

  it.each([
    ['one', 1],
    ['many', 40],
  ])('moves mappings with their UDP senders and cuts their TCP flows: %s', async (_, count) => {
    const before = Array.from({ length: count }, (_, index) => [
      nat(endpoint(front4, 'tcp', 501 + index), '10.1.0.1', 8080),
      nat(endpoint(front4, 'udp', 501 + index), '10.1.0.1', 8080),
    ]).flat();
    await plane.load(table(before), stamp());
    await lab.client.connect('moved', 'tcp', front4, 501);
    await lab.client.ask('moved');
    await lab.client.send('moved', front4, 501);
    await untilAnswered(lab.client, 'moved', 'm1:8080');
    await plane.commit(
      {
        ...unchanged,
        replaced: before.map((entry) => ({ before: entry, after: nat(entry.endpoint, '10.1.0.2', 9090) })),
        backendsAdded: [address('10.1.0.2')],
        backendsRemoved: [address('10.1.0.1')],
        ending: before.map(({ endpoint: at, target }) => ({
          kind: 'nat',
          endpoint: at,
          backend: target.address,
        })),
      },
      stamp(),
    );
    await untilAnswered(lab.client, 'moved', 'm2:9090');
    await pause(50);
    await lab.client.heard('moved');
    expect(Object.keys(await answersTo(lab.client, 'moved', 20))).toEqual(['m2:9090']);
    await expect(lab.client.ask('moved')).rejects.toThrow('reset');
    expect(await knock('tcp', front4, 501)).toBe('m2:9090');
  });

  it.each([
    ['one', 1],
    ['many', 40],
  ])('catches the sender that knocked before its endpoint was there: %s', async (_, count) => {
    await plane.load(table([]), stamp());
    await lab.client.send('early', front4, 501);
    await pause(200);
    const added = Array.from({ length: count }, (_, index) =>
      nat(endpoint(front4, 'udp', 501 + index), '10.1.0.1', 8080),
    );
    await plane.commit({ ...unchanged, added, backendsAdded: [address('10.1.0.1')] }, stamp());
    expect(Object.keys(await answersTo(lab.client, 'early', 20))).toEqual(['m1:8080']);
  });

  it('is all or nothing, and says what the kernel said', async () => {
    const entry = nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080);
    await plane.load(table([entry]), stamp());
    const ruleset = async (): Promise<string> =>
      (await execa('nft', ['list', 'table', 'inet', 'penstock'])).stdout;
    const before = await ruleset();
    const clash = nat(entry.endpoint, '10.1.0.2', 8080);
    const fine = nat(endpoint(front4, 'tcp', 777), '10.1.0.2', 8080);
    for (const more of [
      [],
      Array.from({ length: 100 }, (_, index) => nat(endpoint(front4, 'udp', 600 + index), '10.1.0.2', 1)),
    ]) {
      const failure = await plane
        .commit({ ...unchanged, added: [fine, ...more, clash] }, stamp())
        .catch((error) => error);
      expect(failure).toBeInstanceOf(CommitFailed);
      expect(failure.log).toContain('File exists');
      expect(await ruleset()).toBe(before);
    }
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await plane.commit({ ...unchanged, added: [fine], backendsAdded: [address('10.1.0.2')] }, stamp());
    expect(await knock('tcp', front4, 777)).toBe('m2:8080');
  });

  it('keeps allowed flows and ends others when a whole table is loaded anew', async () => {
    const stays = nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080);
    const goes = nat(endpoint(front4, 'tcp', 502), '10.1.0.1', 8080);
    await plane.load(table([stays, goes]), stamp());
    await lab.client.connect('stays', 'tcp', front4, 501);
    await lab.client.ask('stays');
    await lab.client.connect('goes', 'tcp', front4, 502);
    await lab.client.ask('goes');
    await plane.load(table([stays, nat(goes.endpoint, '10.1.0.2', 8080)]), stamp());
    await pause(200);
    expect((await lab.client.ask('stays')).name).toBe('m1:8080');
    await expect(lab.client.ask('goes')).rejects.toThrow('reset');
    await execa('nft', ['add', 'rule', 'inet', 'penstock', 'masquerade_any4', 'counter']);
    expect((await plane.verify()).kind).toBe('damaged');
    await plane.load(table([stays]), stamp());
    expect((await lab.client.ask('stays')).name).toBe('m1:8080');
    await lab.client.close('stays');
  });
});

describe('balanced', () => {
  const sizes: readonly RingSize[] = [1021, 16381, 65537];
  const affinities: readonly Affinity[] = ['five-tuple', 'client-ip', 'client-ip-protocol'];

  it.each(sizes)('chooses as the reference hash does, in a ring of %i', async (size) => {
    const v4 = ring(7, machines4, size);
    const v6 = ring(8, ['fd01::1', 'fd01::2', 'fd01::3'], size);
    const entries = affinities.flatMap((affinity, index) =>
      (['tcp', 'udp'] as const).flatMap((transport) => [
        balanced(endpoint(front4, transport, 80 + index), 7, 8080, affinity),
        balanced(endpoint(front6, transport, 80 + index), 8, 8080, affinity),
      ]),
    );
    const anyPort = (['tcp', 'udp'] as const).map((transport) =>
      balanced(endpoint('203.0.113.2', transport, 0), 7, 0),
    );
    await plane.load(table([...entries, ...anyPort], [v4, v6]), stamp());
    /** Connections that have used one port after the other are one flow of UDP. */
    const opened = new Map<Entry, number>();
    for (const entry of [...entries, ...anyPort]) {
      const { endpoint: at, target } = entry;
      const port = at.port === 0 ? 9090 : at.port;
      const count = target.affinity === 'five-tuple' ? 60 : 4;
      const flows = await lab.client.spread(at.transport, at.address, port, count);
      const chosen = target.ring === 7 ? v4 : v6;
      const expected = flows.map(([source, sourcePort]) => {
        const slot = slotOf(size, target.affinity, {
          sourceAddress: address(source),
          sourcePort,
          destinationAddress: at.address,
          destinationPort: port,
          transport: at.transport,
        });
        const index = chosen.slots[slot] ?? -1;
        return [source, sourcePort, `m${index + 1}:${at.port === 0 ? 9090 : 8080}`];
      });
      expect(flows).toEqual(expected);
      opened.set(entry, at.transport === 'tcp' ? count : new Set(flows.map(([, source]) => source)).size);
      if (count > 10) expect(new Set(flows.map(([, , name]) => name)).size).toBe(3);
    }
    const counters = await plane.counters([...opened.keys()]);
    for (const [entry, count] of opened) {
      const flows = counters.get(entry)?.flows;
      // Where the machine stalls for a second, a SYN is sent twice, and both may be the first of the flow to be looked at.
      if (entry.endpoint.transport === 'tcp') expect(flows).toBeGreaterThanOrEqual(count);
      else expect(flows).toBe(count);
    }
  });

  it('prefers one port to every port, and masquerades', async () => {
    const entries = [
      balanced(endpoint(front4, 'tcp', 0), 7, 0),
      nat(endpoint(front4, 'tcp', 8080), '10.1.0.3', 8080),
      balanced(endpoint(front4, 'tcp', 9090), 9, 8080, 'five-tuple', true),
    ];
    await plane.load(table(entries, [ring(7, ['10.1.0.1']), ring(9, ['10.1.0.2'])]), stamp());
    expect(await knock('tcp', front4, 8080)).toBe('m3:8080');
    await lab.client.connect('masked', 'tcp', front4, 9090);
    expect(await lab.client.ask('masked')).toMatchObject({
      name: 'm2:8080',
      peer: expect.stringContaining('10.1.0.254'),
    });
    await lab.client.close('masked');
    await expect(knock('tcp', front4, 7777)).rejects.toThrow('refused');
  });

  it('gives no flow to anybody while no member is eligible, and leaves no trace that would outlive that', async () => {
    const down = { '10.1.0.1': { eligible: false } };
    const empty = ring(7, ['10.1.0.1'], 1021, down);
    await plane.load(table([balanced(endpoint(front4, 'udp', 80), 7, 8080)], [empty]), stamp());
    await lab.client.send('patient', front4, 80);
    await pause(200);
    expect((await lab.client.heard('patient')).answers).toEqual({});
    await plane.commit({ ...unchanged, rings: [{ before: empty, after: ring(7, ['10.1.0.1']) }] }, stamp());
    expect(Object.keys(await answersTo(lab.client, 'patient', 20))).toEqual(['m1:8080']);
  });

  it('moves the UDP flows of a member that goes down and keeps its TCP flows; its removal ends those', async () => {
    const both = ring(7, ['10.1.0.1', '10.1.0.2']);
    const entries = (['tcp', 'udp'] as const).map((transport) =>
      balanced(endpoint(front4, transport, 80), 7, 8080),
    );
    await plane.load(table(entries, [both]), stamp());
    const names: string[] = [];
    for (let number = 0; number < 12; number += 1) {
      await lab.client.connect(`t${number}`, 'tcp', front4, 80);
      names.push((await lab.client.ask(`t${number}`)).name);
      await lab.client.send(`u${number}`, front4, 80);
    }
    const seen = new Set<string>();
    for (let number = 0; number < 12; number += 1) {
      for (const name of Object.keys(await answersTo(lab.client, `u${number}`, 1))) seen.add(name);
    }
    expect([...seen].toSorted()).toEqual(['m1:8080', 'm2:8080']);
    const halved = ring(7, ['10.1.0.1', '10.1.0.2'], 1021, {
      '10.1.0.1': { eligible: false, keepsUdp: false },
    });
    const member = { kind: 'ring-member', ring: 7, backend: address('10.1.0.1') } as const;
    await plane.commit(
      { ...unchanged, rings: [{ before: both, after: halved }], ending: [{ ...member, udpOnly: true }] },
      stamp(),
    );
    for (let number = 0; number < 12; number += 1) await untilAnswered(lab.client, `u${number}`, 'm2:8080');
    await pause(50);
    for (let number = 0; number < 12; number += 1) {
      await lab.client.heard(`u${number}`);
      expect(Object.keys(await answersTo(lab.client, `u${number}`, 5))).toEqual(['m2:8080']);
      expect((await lab.client.ask(`t${number}`)).name).toBe(names[number]);
    }
    await plane.commit(
      {
        ...unchanged,
        rings: [{ before: halved, after: ring(7, ['10.1.0.2']) }],
        ending: [{ ...member, udpOnly: false }],
      },
      stamp(),
    );
    for (let number = 0; number < 12; number += 1) {
      if (names[number] === 'm1:8080') await expect(lab.client.ask(`t${number}`)).rejects.toThrow('reset');
      else expect((await lab.client.ask(`t${number}`)).name).toBe('m2:8080');
    }
  });

  it('grows from one ring size to the next without touching its entries or flows', async () => {
    const small = ring(7, ['10.1.0.1'], 1021);
    await plane.load(table([balanced(endpoint(front4, 'tcp', 80), 7, 8080)], [small]), stamp());
    await lab.client.connect('old', 'tcp', front4, 80);
    await lab.client.ask('old');
    const large = ring(7, machines4, 16381);
    await plane.commit({ ...unchanged, rings: [{ before: small, after: large }] }, stamp());
    const flows = await lab.client.spread('tcp', front4, 80, 60);
    expect(new Set(flows.map(([, , name]) => name)).size).toBe(3);
    expect((await lab.client.ask('old')).name).toBe('m1:8080');
    await lab.client.close('old');
  });
});

describe('when nft dies', () => {
  const path = process.env.PATH;
  const directories: string[] = [];
  afterEach(async () => {
    process.env.PATH = path;
    for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
  });
  const greet = 'read -r empty; read -r sentinel; echo "meta expression, datatype mark (packet mark)"';

  /** Puts a program before nft that runs `script` where a session is asked for, and nft itself otherwise. */
  async function replaceSession(script: string): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'penstock-test-'));
    directories.push(directory);
    const real = (await execa('sh', ['-c', 'command -v nft'])).stdout;
    const text = `#!/bin/sh\nif [ "$2" != -i ]; then exec ${real} "$@"; fi\nNFT=${real}\n${script}\n`;
    await writeFile(join(directory, 'nft'), text, { mode: 0o755 });
    process.env.PATH = `${directory}:${path}`;
  }

  const added = { ...unchanged, added: [nat(endpoint(front4, 'tcp', 502), '10.1.0.2', 8080)] };

  it('reports success where the kernel had committed', async () => {
    await plane.load(table([]), stamp());
    await plane.close();
    await replaceSession(`${greet}; read -r line; $NFT -j "$line"; exit 1`);
    await plane.open();
    const last = stamp();
    await plane.commit(added, last);
    expect(await knock('tcp', front4, 502)).toBe('m2:8080');
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await plane.close();
    expect((await plane.open()).stamp).toEqual(last);
  });

  it('does without a session where nft does not answer as it should', async () => {
    await replaceSession('while read -r line; do echo "nft> $line"; $NFT -j "$line"; done');
    await plane.open();
    await plane.load(table([]), stamp());
    await plane.commit(added, stamp());
    expect(await knock('tcp', front4, 502)).toBe('m2:8080');
  });

  it('reports failure where the kernel had not, and the next commit works', async () => {
    await plane.load(table([]), stamp());
    await plane.close();
    await replaceSession(`${greet}; read -r line; exit 1`);
    const { stamp: found } = await plane.open();
    await expect(plane.commit(added, stamp())).rejects.toThrow(CommitFailed);
    await expect(knock('tcp', front4, 502)).rejects.toThrow('refused');
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    process.env.PATH = path;
    await plane.commit(added, stamp());
    expect(await knock('tcp', front4, 502)).toBe('m2:8080');
    expect(found).toBeDefined();
  });
});

describe('open', () => {
  it('says that nft is missing, and what to do', async () => {
    const path = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      const failure = await new NftablesDataPlane({ logger }).open().catch((error) => error);
      expect(failure).toBeInstanceOf(DataPlaneUnavailable);
      expect(failure.findings).toMatchObject([{ code: 'NFT_MISSING', remedy: 'apt-get install nftables' }]);
    } finally {
      process.env.PATH = path;
    }
  });
});

describe('beside others', () => {
  it('leaves foreign tables, marks and flows alone', async () => {
    const foreign = `table ip other {
      chain pre { type nat hook prerouting priority -100; policy accept; tcp dport 7000 dnat to 10.1.0.3:9090; }
      chain marking { type filter hook prerouting priority -150; policy accept; tcp dport 7000 ct mark set 0x1234; }
      chain seen { type filter hook forward priority 0; policy accept; ct mark 0x1234 counter; }
    }`;
    await execa('nft', ['-f', '-'], { input: foreign });
    const list = async (): Promise<string> => (await execa('nft', ['list', 'table', 'ip', 'other'])).stdout;
    const before = await list();
    const entry = nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080);
    await plane.load(table([entry]), stamp());
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect(await knock('tcp', front4, 501)).toBe('m1:8080');
    await plane.commit({ ...unchanged, removed: [entry] }, stamp());
    expect(await list()).toBe(before);
    await lab.client.connect('foreign', 'tcp', '203.0.113.2', 7000);
    expect((await lab.client.ask('foreign')).name).toBe('m3:9090');
    expect(await list()).toMatch(/ct mark 0x00001234 counter packets [1-9]/);
    await execa('nft', ['add', 'chain', 'ip', 'other', 'more']);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await plane.flush();
    expect((await lab.client.ask('foreign')).name).toBe('m3:9090');
    expect(await list()).toContain('dport 7000 dnat');
    await execa('nft', ['delete', 'table', 'ip', 'other']);
    await lab.client.close('foreign');
  });

  it('notices what others do to the table, and repairs it while flows go on', async () => {
    const entry = nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080);
    await plane.load(table([entry]), stamp());
    await lab.client.connect('through', 'tcp', front4, 501);
    await lab.client.ask('through');
    const damages = [
      ['flush', 'ruleset'],
      ['flush', 'chain', 'inet', 'penstock', 'live_nat4'],
      ['flush', 'map', 'inet', 'penstock', 'nat4'],
      ['delete', 'table', 'inet', 'penstock'],
    ];
    for (const damage of damages) {
      expect(await plane.verify()).toEqual({ kind: 'intact' });
      await execa('nft', damage);
      const verdict = await plane.verify();
      expect(verdict).toMatchObject({ kind: 'damaged', detail: expect.stringMatching(/\w/) });
      await plane.load(table([entry]), stamp());
      expect((await lab.client.ask('through')).name).toBe('m1:8080');
    }
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await lab.client.close('through');
  });

  it('makes a table of another version anew, however alike it looks', async () => {
    const entry = nat(endpoint(front4, 'udp', 500), '10.1.0.1', 8080);
    await plane.load(table([entry]), stamp());
    await execa('nft', [
      'flush map inet penstock stamp; add element inet penstock stamp { 1 : ::1 }; add set inet penstock old { type mark; }',
    ]);
    expect((await plane.open()).stamp).toBeUndefined();
    await plane.load(table([entry]), stamp());
    expect((await execa('nft', ['list', 'table', 'inet', 'penstock'])).stdout).not.toContain('set old');
    expect(await knock('udp', front4, 500)).toBe('m1:8080');
  });

  it('finds its stamp again, and goes on where it stood', async () => {
    const entry = nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080);
    await plane.load(table([entry]), stamp());
    const last = stamp();
    const more = nat(endpoint(front4, 'tcp', 502), '10.1.0.2', 8080);
    await plane.commit({ ...unchanged, added: [more], backendsAdded: [address('10.1.0.2')] }, last);
    await plane.close();
    const found = await plane.open();
    expect(found.stamp).toEqual(last);
    expect(found.version).toContain('nftables');
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await plane.commit({ ...unchanged, removed: [entry] }, stamp());
    expect(await knock('tcp', front4, 502)).toBe('m2:8080');
    await plane.flush();
    expect((await plane.open()).stamp).toBeUndefined();
  });
});
