import { expect, it } from 'vitest';
import type { HostChange } from '../store/store.ts';
import { LinuxHost } from './host.ts';

it('forgets the settings of an interface that is gone, instead of never coming to an end', async () => {
  const change: HostChange = { kind: 'sysctl', name: 'net.ipv6.conf.gone0.accept_ra', detail: '1' };
  const forgotten: HostChange[] = [];
  const host = new LinuxHost({
    recordHostChanges: async () => {},
    forgetHostChanges: async (changes) => void forgotten.push(...changes),
  });
  host.adopt([change]);
  await host.restore();
  expect(forgotten).toEqual([change]);
});
