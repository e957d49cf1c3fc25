import { expect, it } from 'vitest';
import { deviceArguments, machineArguments } from './qemu.ts';

const machine = { image: '/k/vmlinuz', initramfs: '/k/initramfs', cpus: 2, memory: 2048, log: '/t/log' };

it('gives a guest hardware virtualisation only when that was found to work', () => {
  const of = (accelerator: 'kvm' | 'tcg') =>
    machineArguments({ ...machine, accelerator, environment: {} }).join(' ');
  expect(of('kvm')).toContain('-accel kvm -cpu host');
  expect(of('tcg')).toContain('-accel tcg,thread=multi -cpu max,la57=off');
});

it('hands settings to process 1, also with spaces', () => {
  const args = machineArguments({ ...machine, accelerator: 'tcg', environment: { A: '/x y' } });
  expect(args.at(-1)).toMatch(/"A=\/x y"$/);
});

it('wires the first card to the second, the third to the fourth, and the fifth to none', () => {
  const args = deviceArguments({ output: '/o', ports: [], nics: 5 });
  expect(args.filter((arg) => arg.startsWith('hubport')).map((arg) => arg.split('hubid=')[1])).toEqual([
    '1',
    '1',
    '2',
    '2',
    '3',
  ]);
  expect(args.filter((arg) => arg.startsWith('virtio-net')).at(-1)).toContain('mac=52:54:00:00:00:05');
});

it('gives cards of several queues a tap each, which a hub cannot serve', () => {
  const args = deviceArguments({ output: '/o', ports: [], nics: 2, queues: 4 }).join(' ');
  expect(args).not.toContain('hubport');
  expect(args).toMatch(/tap,id=nic2,ifname=nic2,.*queues=4 .*mac=52:54:00:00:00:02,.*mq=on,vectors=10$/);
});

it('doubles commas in paths: QEMU ends an option at a comma', () => {
  const args = deviceArguments({ output: '/a,b', ports: ['/c,d'], nics: 0 }).join(' ');
  expect(args).toContain('path=/a,,b,');
  expect(args).toContain('path=/c,,d');
});

it('shares the host read-only', () => {
  const root = deviceArguments({ output: '/o', ports: [], nics: 0 }).find((arg) => arg.includes('path=/,'));
  expect(root).toContain('readonly=on');
});
