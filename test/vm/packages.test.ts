import { expect, it } from 'vitest';
import { kernels } from './kernels.ts';
import { namesFound, newest, parsePackage } from './packages.ts';

const answer = `linux-image-6.1.0-9-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.1.0-56-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.1.0-56-amd64-dbg - Debug symbols for linux-image-6.1.0-56-amd64
linux-image-6.1.0-100-rt-amd64 - Linux 6.1 for 64-bit PCs, PREEMPT_RT (signed)
linux-image-6.12.100+deb12-amd64 - Linux 6.12 for 64-bit PCs (signed)
linux-image-6.12.99+deb12-amd64 - Linux 6.12 for 64-bit PCs (signed)
linux-image-6.12.100+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
`;

it.each([
  ['6.1', 'linux-image-6.1.0-56-amd64'],
  ['6.12', 'linux-image-6.12.100+deb12-amd64'],
])(
  'takes the newest package of kernel %s: numbers count as numbers, flavours are not taken',
  (name, expected) => {
    const kernel = kernels.find((one) => one.name === name);
    expect(newest(namesFound(answer), kernel?.packages ?? /^$/)).toBe(expected);
  },
);

it('takes the kernels of Debian 13 as well', () => {
  const packages = kernels.find(({ name }) => name === '6.12')?.packages ?? /^$/;
  const of = (...versions: readonly string[]) =>
    newest(
      versions.map((version) => `linux-image-${version}-amd64`),
      packages,
    );
  expect(of('6.12.48+deb13', '6.12.9+deb13', '6.12.48+deb13-cloud')).toBe('linux-image-6.12.48+deb13-amd64');
  expect(of('6.12.100+deb12', '6.12.48+deb13')).toBe('linux-image-6.12.100+deb12-amd64');
  expect(of('6.12.48+deb12', '6.12.48+deb13')).toBe('linux-image-6.12.48+deb13-amd64');
  expect(of('6.12.48+deb14', '6.120.1+deb13')).toBeUndefined();
});

it('finds nothing in an empty answer', () => {
  expect(namesFound('')).toEqual([]);
  expect(newest([], /./)).toBeUndefined();
});

it('writes the patterns so that apt-cache, which knows POSIX syntax only, reads them too', () => {
  for (const { packages } of kernels) expect(packages.source).not.toMatch(/\\[a-z]/);
});

it('reads name, version and sizes of a package', () => {
  const text =
    'Package: linux-image-6.1.0-56-amd64\nVersion: 6.1.192-2\nInstalled-Size: 398000\nSize: 71000000\n';
  expect(parsePackage(text)).toEqual({
    name: 'linux-image-6.1.0-56-amd64',
    version: '6.1.192-2',
    installedSize: 398000 * 1024,
    size: 71_000_000,
  });
  expect(parsePackage('N: No packages found')).toBeUndefined();
});
