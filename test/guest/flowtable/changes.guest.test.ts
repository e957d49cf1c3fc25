// The flowtable while mappings, machines, interfaces and agents change: what ends must end at once, and nothing else.
import { execa } from 'execa';
import { afterEach, describe, expect, it } from 'vitest';
import { NftablesDataPlane } from '../../../src/dataplane/nftables/plane.ts';
import { gatewayUnderTest, logger } from '../../../src/dataplane/nftables/testing/gateway.ts';
import {
  address,
  balanced,
  endpoint,
  nat,
  ring,
  table,
  unchanged,
} from '../../../src/dataplane/nftables/testing/tables.ts';
import type { Entry } from '../../../src/forwarding/table.ts';
import { flowsTo, slowPackets, untilFast } from './support/flows.ts';

const front4 = '203.0.113.1';
const other4 = '203.0.113.2';
const front6 = '2001:db8:f::1';
const gateway = gatewayUnderTest(3, { flowtable: 'auto' });

const [going, staying] = [
  nat(endpoint(front4, 'udp', 501), '10.1.0.1', 8080),
  nat(endpoint(front4, 'udp', 502), '10.1.0.2', 8080),
];
const [connected, other] = [
  nat(endpoint(front4, 'tcp', 501), '10.1.0.1', 8080),
  nat(endpoint(front6, 'tcp', 502), 'fd01::2', 8080),
];

function ends({ endpoint: at, target }: Entry & { readonly target: { readonly kind: 'nat' } }) {
  if (target.kind !== 'nat') throw new Error('not NAT');
  return { kind: 'nat', endpoint: at, backend: target.address } as const;
}

/** Who answers a sender from now on, answers apart that were under way; waits for questions, not for a time. */
async function answersFrom(key: string, questions = 40): Promise<Readonly<Record<string, number>>> {
  await answersTo(key, questions);
  return await answersTo(key, questions);
}

async function answersTo(key: string, questions: number): Promise<Readonly<Record<string, number>>> {
  const answers: Record<string, number> = {};
  for (let asked = 0; asked < questions; ) {
    const heard = await gateway.lab.client.heard(key);
    asked += heard.sent;
    for (const [name, count] of Object.entries(heard.answers)) answers[name] = (answers[name] ?? 0) + count;
  }
  return answers;
}

afterEach(async () => {
  for (const key of ['going', 'staying']) await gateway.lab.client.hush(key).catch(() => {});
  for (const key of ['connected', 'other']) await gateway.lab.client.close(key).catch(() => {});
});

/** Both senders and both connections on the fast path. */
async function establish(
  entries: readonly Entry[],
  rings = [] as Parameters<typeof table>[1],
): Promise<void> {
  const { lab, plane, stamp } = gateway;
  await plane.load(table(entries, rings), stamp());
  await lab.client.send('going', front4, 501);
  await lab.client.send('staying', front4, 502);
  await lab.client.connect('connected', 'tcp', front4, 501);
  await lab.client.connect('other', 'tcp', front6, 502);
  await untilFast(
    gateway,
    { at: connected.endpoint, key: 'connected' },
    { at: other.endpoint, key: 'other' },
    { at: going.endpoint },
    { at: staying.endpoint },
  );
}

describe('a change', () => {
  it('that removes mappings ends their flows at once, and no others, which come back to the fast path', async () => {
    const { lab, plane, stamp } = gateway;
    await establish([going, staying, connected, other]);
    const slow = await slowPackets(gateway, staying);
    await answersFrom('staying');
    expect(await slowPackets(gateway, staying)).toBe(slow);

    await plane.commit(
      { ...unchanged, removed: [going, connected], ending: [ends(going), ends(connected)] },
      stamp(),
    );

    expect(await answersFrom('going')).toEqual({});
    await expect(lab.client.ask('connected')).rejects.toThrow(/timed out|refused|closed|reset/i);
    expect(Object.keys(await answersFrom('staying'))).toEqual(['m2:8080']);
    expect((await lab.client.ask('other')).name).toBe('m2:8080');
    await untilFast(gateway, { at: staying.endpoint }, { at: other.endpoint, key: 'other' });
    expect(await answersFrom('going')).toEqual({});
    expect((await plane.counters([staying])).get(staying)?.flows).toBe(1);
  });

  it('that leads elsewhere takes a sender along that never pauses', async () => {
    const { plane, stamp } = gateway;
    await establish([going, staying, connected, other]);
    const after = nat(going.endpoint, '10.1.0.3', 8080);

    await plane.commit(
      { ...unchanged, replaced: [{ before: going, after }], ending: [ends(going)] },
      stamp(),
    );

    expect(Object.keys(await answersFrom('going'))).toEqual(['m3:8080']);
    expect(Object.keys(await answersFrom('staying'))).toEqual(['m2:8080']);
    await untilFast(gateway, { at: going.endpoint });
    expect(Object.keys(await answersFrom('going'))).toEqual(['m3:8080']);
  });

  it('that takes a member off a ring moves its UDP and leaves its TCP alone', async () => {
    const { lab, plane, stamp } = gateway;
    const entries = [
      balanced(going.endpoint, 7, 8080),
      staying,
      balanced(connected.endpoint, 7, 8080),
      other,
    ];
    const before = ring(7, ['10.1.0.1']);
    await establish(entries, [before]);
    const backend = address('10.1.0.1');
    const after = ring(7, ['10.1.0.1', '10.1.0.3'], 1021, { '10.1.0.1': { eligible: false } });

    await plane.commit(
      {
        ...unchanged,
        rings: [{ before, after }],
        backendsAdded: [address('10.1.0.3')],
        ending: [{ kind: 'ring-member', ring: 7, backend, udpOnly: true }],
      },
      stamp(),
    );

    expect(Object.keys(await answersFrom('going'))).toEqual(['m3:8080']);
    expect((await lab.client.ask('connected')).name).toBe('m1:8080');
    await untilFast(gateway, { at: connected.endpoint, key: 'connected' });
    expect((await lab.client.ask('connected')).name).toBe('m1:8080');
    expect(Object.keys(await answersFrom('staying'))).toEqual(['m2:8080']);
  });

  it('that ends nothing leaves the fast path alone', async () => {
    const { plane, stamp } = gateway;
    await establish([going, staying, connected, other]);
    const slow = await slowPackets(gateway, staying);
    await plane.commit(
      { ...unchanged, added: [nat(endpoint(other4, 'udp', 503), '10.1.0.1', 8080)] },
      stamp(),
    );
    await answersFrom('staying');
    expect(await slowPackets(gateway, staying)).toBe(slow);
  });

  it('that the kernel refuses ends nothing', async () => {
    const { plane, stamp } = gateway;
    await establish([going, staying, connected, other]);
    const unknown = nat(endpoint(other4, 'udp', 509), '10.1.0.1', 8080);
    const refused = plane.commit({ ...unchanged, removed: [unknown], ending: [ends(unknown)] }, stamp());
    await expect(refused).rejects.toThrow(/refused/);
    expect(Object.keys(await answersFrom('going'))).toEqual(['m1:8080']);
    await untilFast(gateway, { at: going.endpoint });
    expect(Object.keys(await answersFrom('going'))).toEqual(['m1:8080']);
  });

  it('leaves a transfer whole that leaves and enters the fast path again and again', async () => {
    const { lab, plane, stamp } = gateway;
    await lab.machines[2]?.offer('10.1.0.3', 5000);
    const bulk = nat(endpoint(front4, 'tcp', 505), '10.1.0.3', 5000);
    await plane.load(table([bulk, staying]), stamp());
    await plane.verify();
    let over = false;
    const transfer = lab.client.transfer(front4, 505, 30_000_000, 30_000_000).finally(() => {
      over = true;
    });
    let [pauses, sawFast] = [0, false];
    while (!over) {
      await plane.commit({ ...unchanged, removed: [staying], ending: [ends(staying)] }, stamp());
      await plane.commit({ ...unchanged, added: [staying] }, stamp());
      pauses += 1;
      await expect
        .poll(
          async () => {
            await plane.verify();
            const flows = await flowsTo(bulk.endpoint);
            sawFast ||= flows.some(({ fast }) => fast);
            return over || flows.some(({ fast }) => fast);
          },
          { timeout: 30_000 },
        )
        .toBe(true);
    }
    await transfer;
    expect(sawFast).toBe(true);
    expect(pauses).toBeGreaterThan(0);
  });

  it('of the whole table ends what it does not allow', async () => {
    const { lab, plane, stamp } = gateway;
    await establish([going, staying, connected, other]);

    await plane.load(table([staying, other]), stamp());

    expect(await answersFrom('going')).toEqual({});
    await expect(lab.client.ask('connected')).rejects.toThrow();
    expect(Object.keys(await answersFrom('staying'))).toEqual(['m2:8080']);
    await untilFast(gateway, { at: staying.endpoint });
    expect(await answersFrom('going')).toEqual({});
  });
});

describe('the fast path', () => {
  const stands = async (): Promise<boolean> =>
    (await execa('nft', ['list', 'table', 'inet', 'penstock_fast'], { reject: false })).exitCode === 0;
  const interfaces = async (): Promise<string> => {
    const { stdout } = await execa('nft', ['list', 'flowtables']);
    return /devices = \{ (.*) \}/.exec(stdout)?.[1] ?? '';
  };

  it('outlives an agent that is killed, and the next one takes it over', async () => {
    const { lab, plane, stamp } = gateway;
    await establish([going, staying, connected, other]);
    // As after SIGKILL: nothing is told to the kernel.
    await plane.close();
    const slow = (await execa('nft', ['list', 'set', 'inet', 'penstock', 'nat_live4'])).stdout;
    expect(Object.keys(await answersFrom('staying'))).toEqual(['m2:8080']);
    expect((await execa('nft', ['list', 'set', 'inet', 'penstock', 'nat_live4'])).stdout).toBe(slow);
    await plane.open();
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect(Object.keys(await answersFrom('going'))).toEqual(['m1:8080']);
    expect((await lab.client.ask('connected')).name).toBe('m1:8080');
    expect((await execa('nft', ['list', 'set', 'inet', 'penstock', 'nat_live4'])).stdout).toBe(slow);

    await plane.commit({ ...unchanged, removed: [going], ending: [ends(going)] }, stamp());

    expect(await answersFrom('going')).toEqual({});
  });

  it('is taken away by an agent that does not want it, and by a flush', async () => {
    const { plane } = gateway;
    await establish([going, staying, connected, other]);
    await plane.close();
    const without = new NftablesDataPlane({ logger });
    await without.open();
    await without.verify();
    expect(await stands()).toBe(false);
    expect((await without.report()).notes).toEqual([]);
    expect(Object.keys(await answersFrom('going'))).toEqual(['m1:8080']);
    await without.close();
    await plane.open();
    await untilFast(gateway, { at: going.endpoint });
    await plane.flush();
    expect(await stands()).toBe(false);
    expect(await answersFrom('going')).toEqual({});
  });

  it('follows the interfaces that come, go, and become ports of a bridge', async () => {
    const { plane, stamp } = gateway;
    await plane.load(table([going]), stamp());
    await plane.verify();
    expect(await interfaces()).toBe('machines, toclient');
    await execa('ip', ['link', 'add', 'more', 'type', 'veth', 'peer', 'name', 'its.peer']);
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect(await interfaces()).toBe('its.peer, machines, more, toclient');
    await execa('ip', ['link', 'set', 'its.peer', 'master', 'machines']);
    await plane.verify();
    expect(await interfaces()).toBe('machines, more, toclient');
    expect((await plane.report()).notes[0]).toContain(' on machines, more, toclient;');
    await execa('ip', ['link', 'delete', 'more']);
    expect(await interfaces()).toBe('machines, toclient');
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    expect((await plane.report()).notes[0]).toContain(' on machines, toclient;');
    await lab502();
  });

  /** It still works. */
  async function lab502(): Promise<void> {
    const { lab } = gateway;
    await lab.client.send('going', front4, 501);
    await untilFast(gateway, { at: going.endpoint });
  }

  it.each([
    ['removed', ['delete', 'table', 'inet', 'penstock_fast']],
    ['emptied', ['flush', 'table', 'inet', 'penstock_fast']],
    ['added to', ['add', 'rule', 'inet', 'penstock_fast', 'forward', 'counter']],
  ])('is put right when somebody has it %s', async (_, command) => {
    const { plane, stamp } = gateway;
    await plane.load(table([going]), stamp());
    await plane.verify();
    await execa('nft', command);
    expect(await plane.verify()).toEqual({
      kind: 'mended',
      detail: 'the table inet penstock_fast was removed or changed',
    });
    expect(await plane.verify()).toEqual({ kind: 'intact' });
    await lab502();
  });

  it('loses a flow that somebody ends, with the very next packet', async () => {
    const { lab, plane, stamp } = gateway;
    await plane.load(table([going]), stamp());
    await lab.client.connect('other', 'udp', front4, 501);
    await untilFast(gateway, { at: going.endpoint, key: 'other' });
    const before = (await plane.counters([going])).get(going);
    await execa('conntrack', ['-D', '--orig-dst', front4]);
    expect((await lab.client.ask('other')).name).toBe('m1:8080');
    const after = (await plane.counters([going])).get(going);
    expect([after?.flows, after?.packets]).toEqual([(before?.flows ?? 0) + 1, (before?.packets ?? 0) + 2]);
  });

  it('leaves flows alone that are not ours', async () => {
    const { lab, plane, stamp } = gateway;
    await plane.load(table([going]), stamp());
    await lab.client.connect('other', 'tcp', '10.1.0.1', 8080);
    await untilFastOrNot('other');
    const flows = await flowsTo(endpoint('10.1.0.1', 'tcp', 8080));
    expect(flows.length).toBeGreaterThan(0);
    expect(flows.filter(({ fast }) => fast)).toEqual([]);
  });

  async function untilFastOrNot(key: string): Promise<void> {
    const { lab, plane } = gateway;
    for (let times = 0; times < 10; times += 1) {
      await plane.verify();
      await lab.client.ask(key);
    }
  }
});
