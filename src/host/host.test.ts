import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import type { HostChange } from '../store/store.ts';
import { LinuxHost } from './host.ts';

/** What is recorded, and so survives the agent. */
let recorded: Map<string, HostChange>;
let kernel: Map<string, string>;

beforeEach(() => {
  recorded = new Map();
  kernel = new Map();
});

/** A host of another run over the same kernel and store. */
function nextRun(): LinuxHost {
  const host = new LinuxHost(
    {
      async recordHostChanges(changes) {
        for (const change of changes) if (!recorded.has(change.name)) recorded.set(change.name, change);
      },
      async forgetHostChanges(changes) {
        await setImmediate();
        for (const { name } of changes) recorded.delete(name);
      },
    },
    {
      read: async (name) => kernel.get(name),
      write: async (name, value) => void (kernel.has(name) && kernel.set(name, value)),
    },
  );
  host.adopt([...recorded.values()]);
  return host;
}

it('forgets the settings of an interface that is gone, instead of never coming to an end', async () => {
  const name = 'net.ipv6.conf.gone0.accept_ra';
  recorded.set(name, { kind: 'sysctl', name, detail: '1' });
  await nextRun().restore();
  expect(recorded.size).toBe(0);
});

describe('interfaces that accept local sources', () => {
  beforeEach(() => {
    kernel.set('net.ipv4.conf.all.rp_filter', '0');
    for (const link of ['eth0', 'eth1', 'eth0/7']) {
      kernel.set(`net.ipv4.conf.${link}.accept_local`, '0');
      kernel.set(`net.ipv4.conf.${link}.rp_filter`, '0');
    }
  });

  const values = (link: string) =>
    ['accept_local', 'rp_filter'].map((name) => kernel.get(`net.ipv4.conf.${link}.${name}`));

  it('get back what they had, also while all settings are being looked after', async () => {
    const host = nextRun();
    await host.acceptLocalSources(['eth0']);
    const withdrawn = host.acceptLocalSources([]);
    await setImmediate();
    expect(await host.reconcile([])).toEqual([]);
    await withdrawn;
    expect([values('eth0'), recorded.size, host.settings]).toEqual([['0', '0'], 0, []]);
  });

  it('are told to, and shown with the values from before', async () => {
    const host = nextRun();
    await host.acceptLocalSources(['eth0', 'eth0.7', 'gone0']);
    expect([values('eth0'), values('eth0/7'), values('eth1')]).toEqual([
      ['1', '0'],
      ['1', '0'],
      ['0', '0'],
    ]);
    expect(host.settings).toEqual([
      { name: 'net.ipv4.conf.eth0.accept_local', value: '1', valueBefore: '0' },
      { name: 'net.ipv4.conf.eth0/7.accept_local', value: '1', valueBefore: '0' },
    ]);
  });

  it.each([
    ['1', '0', '2'],
    ['0', '1', '2'],
    ['1', '1', '2'],
    ['2', '0', '0'],
    ['1', '2', '2'],
    ['0', '2', '2'],
  ])('check strictly no more: %s for all and %s of its own becomes %s', async (all, own, becomes) => {
    kernel.set('net.ipv4.conf.all.rp_filter', all);
    kernel.set('net.ipv4.conf.eth0.rp_filter', own);
    const host = nextRun();
    await host.acceptLocalSources(['eth0']);
    await host.acceptLocalSources(['eth0']);
    expect(values('eth0')).toEqual(['1', becomes]);
    await host.restore();
    expect(values('eth0')).toEqual(['0', own]);
  });

  it('are mended when somebody else sets them', async () => {
    const host = nextRun();
    await host.acceptLocalSources(['eth0']);
    kernel.set('net.ipv4.conf.eth0.accept_local', '0');
    expect(await host.reconcile([])).toEqual(['net.ipv4.conf.eth0.accept_local was not 1 any more']);
    expect(values('eth0')).toEqual(['1', '0']);
  });

  it('get back what they had when they are no longer among them, also from an earlier run', async () => {
    kernel.set('net.ipv4.conf.eth1.rp_filter', '1');
    await nextRun().acceptLocalSources(['eth0', 'eth1']);
    const host = nextRun();
    await host.acceptLocalSources(['eth1']);
    expect([values('eth0'), values('eth1')]).toEqual([
      ['0', '0'],
      ['1', '2'],
    ]);
    expect(host.settings).toEqual([
      { name: 'net.ipv4.conf.eth1.accept_local', value: '1', valueBefore: '0' },
      { name: 'net.ipv4.conf.eth1.rp_filter', value: '2', valueBefore: '1' },
    ]);
    await host.acceptLocalSources([]);
    expect(values('eth1')).toEqual(['0', '1']);
    expect([host.settings, recorded.size]).toEqual([[], 0]);
  });
});
