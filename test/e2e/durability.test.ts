// What was acknowledged is on disk and in the kernel, whatever ends the agent; and flows never notice.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import type { Lab } from '../lab/lab.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { expectAgreement } from './support/agreement.ts';
import { front, members, tcp, udp } from './support/declare.ts';
import { Flows } from './support/flows.ts';
import { connect, failureOf, listMappings, put, revisionOf } from './support/gateway.ts';
import { ruleset } from './support/kernel.ts';
import { upLab } from './support/lab.ts';
import { machines } from './support/outcomes.ts';
import { Writer } from './support/writer.ts';

let lab: Lab;
let client: GatewayClient;
let traffic: Traffic;

const stable: Message<'LoadBalancer'> = {
  name: 'stable',
  frontends: [{ name: 'front', address: front[4] }],
  backendPools: [{ name: 'vms', members: members([1, 2]) }],
  inboundNatRules: [tcp, udp].map((protocol) => ({
    name: `direct-${protocol}`,
    frontend: 'front',
    protocol,
    backendPort: protocol === tcp ? 80 : 5300,
    pool: { backendPool: 'vms', frontendPortRangeStart: 500, maximumMachines: 10 },
  })),
  loadBalancingRules: [
    { name: 'web', frontend: 'front', protocol: tcp, frontendPort: 80, backendPort: 80, backendPool: 'vms' },
  ],
};

beforeAll(async () => {
  lab = await upLab({ name: `e2e-durability-${process.pid}`, backends: 2, agent: true });
  client = connect(lab);
  traffic = await lab.traffic();
  await put(client, stable);
});

afterAll(async () => {
  await traffic?.stop();
  client?.close();
  await execa('umount', ['-l', lab.stateDirectory], { reject: false });
  await lab?.down();
});

/** What the agent logs while something happens. */
async function logOf(act: () => Promise<unknown>): Promise<string> {
  const before = await readFile(lab.agentLog, 'utf8');
  await act();
  return (await readFile(lab.agentLog, 'utf8')).slice(before.length);
}

/** A client of its own: one that has seen the agent go waits before it connects again. */
async function withFreshClient<T>(work: (fresh: GatewayClient) => Promise<T>): Promise<T> {
  using fresh = connect(lab);
  return await work(fresh);
}

async function expectForwarding(): Promise<void> {
  const asked = await traffic.ask([500, 501].map((port) => ({ scheme: 'http', address: front[4], port })));
  expect(machines(asked)).toEqual(['b1', 'b2']);
}

describe('kill -9', () => {
  it('loses nothing that was acknowledged, ten times over, and no flow notices', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', front[4], 500);
    await flows.open('balanced', front[4], 80);
    const machine = await flows.ask('balanced');
    await flows.send('sender', front[4], 501);
    const writers = [0, 1, 2].map((number) => new Writer(number));
    for (const writer of writers) await withFreshClient((fresh) => writer.begin(fresh));
    const acknowledged = (): number => writers.reduce((sum, writer) => sum + writer.acknowledged, 0);
    for (let round = 0; round < 10; round += 1) {
      const running = writers.map((writer) => withFreshClient((fresh) => writer.run(fresh)));
      const enough = acknowledged() + 3 + Math.random() * 20;
      while (acknowledged() < enough) await sleep(1);
      // Somewhere in the way of a change.
      await sleep(Math.random() * 10);
      await lab.killAgent();
      await Promise.all(running);
      await lab.startAgent();
      await withFreshClient(async (fresh) => {
        for (const writer of writers) {
          const mappings = await listMappings(fresh, { loadBalancer: writer.name, skipCounters: true });
          const found = new Map(mappings.map(({ member, frontendPort }) => [member, frontendPort]));
          expect(new Map([...found].toSorted())).toEqual(new Map([...writer.expected(found)].toSorted()));
        }
        await expectAgreement(lab, fresh);
        const { revision, dataPlaneRevision, warnings } = await fresh.getStatus();
        expect([dataPlaneRevision, warnings]).toEqual([revision, []]);
      });
      expect(await flows.ask('nat')).toBe('b1');
      expect(await flows.ask('balanced')).toBe(machine);
    }
    expect(acknowledged()).toBeGreaterThanOrEqual(30);
    expect(new Set(await flows.settled('sender'))).toEqual(new Set(['b2']));
    const names = writers.map(({ name }) => name);
    await withFreshClient((fresh) => fresh.apply({ changes: { deleteLoadBalancers: names } }));
  });
});

describe('a restart', () => {
  it('with nothing to do touches nothing, and the kernel forwards meanwhile', async () => {
    const before = await ruleset(lab);
    const revision = await withFreshClient(revisionOf);
    const log = await logOf(async () => {
      await lab.stopAgent();
      expect(await ruleset(lab)).toBe(before);
      await expectForwarding();
      await lab.startAgent();
    });
    expect(log).toContain('stopping; the kernel goes on forwarding');
    expect(log).toContain('the kernel runs the stored revision; nothing to do');
    expect(log).not.toMatch(/loaded the stored revision|applied/);
    // The stamp changes with every transaction, handles with every load.
    expect(await ruleset(lab)).toBe(before);
    expect(await withFreshClient(revisionOf)).toBe(revision);
  });

  it('after the kernel has lost everything loads it again', async () => {
    await lab.stopAgent();
    await lab.exec('gateway', ['nft', 'flush', 'ruleset']);
    const log = await logOf(() => lab.startAgent());
    expect(log).toContain('loaded the stored revision');
    await withFreshClient((fresh) => expectAgreement(lab, fresh));
    await expectForwarding();
  });

  it('with another gateway’s leftovers in the kernel replaces them, and flows that are still declared go on', async () => {
    await using flows = await Flows.start(lab);
    await flows.open('nat', front[4], 500);
    expect(await flows.ask('nat')).toBe('b1');
    await flows.send('sender', front[4], 501);
    await lab.stopAgent();
    for (const suffix of ['', '-wal', '-shm']) {
      await rm(join(lab.stateDirectory, `penstock.db${suffix}`), { force: true });
    }
    const log = await logOf(() => lab.startAgent());
    expect(log).toContain('loaded the stored revision');
    await withFreshClient(async (fresh) => {
      expect(await revisionOf(fresh)).toBe(0);
      await expectAgreement(lab, fresh);
      expect(await flows.ask('nat', 400)).not.toBe('b1');
      await put(fresh, stable);
      await expectAgreement(lab, fresh);
    });
    await expectForwarding();
    await expect.poll(async () => (await flows.answers('sender')).at(-5)).toBe('b2');
  });
});

describe('a state directory', () => {
  it('is one agent’s: a second one is told what to do', async () => {
    const before = await ruleset(lab);
    const socket = join(lab.directory, 'second.sock');
    const second = await lab.penstock(
      ['agent', '--state-directory', lab.stateDirectory, '--listen', `unix:${socket}`],
      { reject: false, timeout: 10_000 },
    );
    expect(second.exitCode).toBe(4);
    expect(second.stderr).toContain('is in use by another process');
    expect(second.stderr).toContain('stop the other one first');
    expect(await ruleset(lab)).toBe(before);
    await withFreshClient((fresh) => put(fresh, stable));
  });

  it('of its own does not let a second agent onto the same host', async () => {
    const before = await ruleset(lab);
    const directory = join(lab.directory, 'second');
    const second = await lab.penstock(
      ['agent', '--state-directory', directory, '--listen', `unix:${directory}.sock`],
      { reject: false, timeout: 10_000 },
    );
    expect(second.exitCode).toBe(4);
    expect(second.stderr).toContain('AGENT_RUNNING');
    expect(second.stderr).toContain('stop the other one first');
    expect(await ruleset(lab)).toBe(before);
    expect((await withFreshClient((fresh) => fresh.getStatus())).warnings).toEqual([]);
  });

  it('without room refuses a change, changes nothing, and takes it when there is room', async () => {
    await lab.stopAgent();
    const filler = join(lab.stateDirectory, 'filler');
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'penstock-e2e', lab.stateDirectory]);
    try {
      await lab.startAgent();
      await withFreshClient(async (fresh) => {
        await put(fresh, stable);
        // dd writes what fits, and fails.
        await execa('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'], { reject: false });
        const before = [await revisionOf(fresh), await ruleset(lab)];
        const many = Array.from({ length: 300 }, (_, index) => ({
          address: `10.9.1.${index % 250}`,
          id: `m${index}`,
        }));
        const pool = { name: 'many', members: many.slice(1, 250) };
        const larger = { ...stable, backendPools: [...(stable.backendPools ?? []), pool] };

        const failure = await failureOf(put(fresh, larger));

        expect([failure.codeName, failure.reason]).toEqual(['UNAVAILABLE', 'STORE_FAILED']);
        expect(failure.message).toContain('nothing was applied');
        expect(failure.metadata.remedy).toMatch(/disk|space|room/i);
        expect([await revisionOf(fresh), await ruleset(lab)]).toEqual(before);
        await expectForwarding();

        await rm(filler);
        const { revision } = await put(fresh, larger);
        expect(revision).toBe(Number(before[0]) + 1);
        await expectAgreement(lab, fresh);
      });
    } finally {
      await lab.stopAgent();
      await execa('umount', [lab.stateDirectory]);
    }
    await lab.startAgent();
  });

  it('with a damaged file stops the agent from starting, and the kernel forwards on', async () => {
    await lab.stopAgent();
    const file = join(lab.stateDirectory, 'penstock.db');
    const [before, good] = [await ruleset(lab), await readFile(file)];
    await writeFile(file, Buffer.alloc(8_192, 'x'));
    const start = lab.startAgent();
    await expect(start).rejects.toThrow('is damaged');
    expect(await ruleset(lab)).toBe(before);
    await expectForwarding();
    await writeFile(file, good);
    await lab.startAgent();
    await expectForwarding();
  });
});
