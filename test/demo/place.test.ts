import { describe, expect, it } from 'vitest';
import { choose, type Host } from './place.ts';

const nothing: Host = {
  vagrant: false,
  libvirt: false,
  kvm: false,
  virtualbox: false,
  provider: undefined,
};

describe('where the demo plays', () => {
  it.each<[string, Partial<Host>, string]>([
    ['without vagrant', { libvirt: true, kvm: true, virtualbox: true }, 'guest'],
    ['with vagrant alone', { vagrant: true }, 'guest'],
    ['with libvirt', { vagrant: true, libvirt: true, kvm: true }, 'vagrant'],
    ['with libvirt and no KVM', { vagrant: true, libvirt: true }, 'guest'],
    [
      'with libvirt and no KVM, but VirtualBox',
      { vagrant: true, libvirt: true, virtualbox: true },
      'vagrant',
    ],
    ['with VirtualBox', { vagrant: true, virtualbox: true }, 'vagrant'],
    ['with the wrong one', { vagrant: true, virtualbox: true, provider: 'libvirt' }, 'guest'],
    ['with another that was asked for', { vagrant: true, provider: 'vmware_desktop' }, 'vagrant'],
  ])('%s', (_, host, place) => {
    const choice = choose({ ...nothing, ...host });
    expect(choice.place).toBe(place);
    expect(choice.reason).not.toBe('');
  });

  it('does not call a libvirt missing that has no KVM', () => {
    const { reason } = choose({ ...nothing, vagrant: true, libvirt: true });
    expect(reason).toBe('vagrant has libvirt here, but no KVM that works');
  });
});
