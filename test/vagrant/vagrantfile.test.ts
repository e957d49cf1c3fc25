// What the Vagrantfile repeats of other files, because it is read without them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { client, frontends, gateway } from '../lab/topology.ts';
import { parse } from './box/release.ts';
import { declaration } from './more.ts';
import { checkout, hostOf } from './site.ts';
import { quoted } from './ssh.ts';

const vagrantfile = await readFile(join(import.meta.dirname, '../../Vagrantfile'), 'utf8');

describe('the Vagrantfile', () => {
  it.each([
    `ip: "${gateway.wan.address}/24", ip6: "${gateway.wan.address6}/64"`,
    `ip: "${gateway.lan.address}/16", ip6: "${gateway.lan.address6}/64"`,
    `ip: "${client.address}/24", ip6: "${client.address6}/64"`,
    `${frontends.network}=${gateway.wan.address}`,
    `${frontends.network6}=${gateway.wan.address6}`,
    `home = "${checkout}"`,
  ])('says %s, as the lab does', (text) => {
    expect(vagrantfile).toContain(text);
  });
});

describe('the machines', () => {
  it('of a pool are spread over both backends', () => {
    const number = (which: number) =>
      hostOf({ node: 'b1', number: which, address: '', address6: '', mac: '' });
    expect([1, 2, 3, 4].map(number)).toEqual(['backend1', 'backend2', 'backend1', 'backend2']);
  });

  it('are given commands that their shells leave as they are', () => {
    expect(['a-b', "it's $HOME", ''].map(quoted)).toEqual(['a-b', `'it'\\''s $HOME'`, "''"]);
  });

  it('are declared with both their addresses', () => {
    const text = declaration([
      { node: 'b1', number: 1, address: '10.0.0.4', address6: 'fd00:10::4', mac: '' },
    ]);
    expect(text).toContain('{ id: b1-four, address: "10.0.0.4" }');
    expect(text).toContain('{ id: b1-six, address: "fd00:10::4" }');
  });
});

describe('the release of a box', () => {
  it("is this host's, where it is a Debian", () => {
    expect(parse('NAME="Debian GNU/Linux"\nVERSION_CODENAME=trixie\nID=debian\n')).toBe('trixie');
    expect(parse('ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n')).toBeUndefined();
    expect(parse('')).toBeUndefined();
  });
});
