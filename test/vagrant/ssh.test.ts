// Connections to machines, with programs that only write down how they are called.
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Machine, Ssh } from './ssh.ts';

const machines: readonly Machine[] = ['gateway', 'client'];

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ssh-test-'));
  await program('vagrant', 'pwd >"$0.called"');
  await program('ssh', 'echo "$*" >>"$0.called"; case "$*" in *linger*) exec sleep 60 ;; esac');
  vi.stubEnv('PATH', `${directory}:${process.env.PATH}`);
  vi.stubEnv('TMPDIR', directory);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true, force: true });
});

async function program(name: string, script: string): Promise<void> {
  await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, name), 0o755);
}

async function calls(name: string): Promise<readonly string[]> {
  const text = await readFile(join(directory, `${name}.called`), 'utf8').catch(() => '');
  return text.split('\n').map((line) => line.replace(/^-F \S+ /, ''));
}

async function closed(): Promise<void> {
  for (const machine of machines) expect(await calls('ssh')).toContain(`-O exit ${machine}`);
  expect((await readdir(directory)).filter((name) => name.startsWith('penstock-ssh-'))).toEqual([]);
}

describe('connections to machines', () => {
  it('are asked for where the Vagrantfile is, and closed at the end', async () => {
    {
      await using ssh = await Ssh.open(machines, new AbortController().signal);
      await ssh.run('client', ['date']);
    }
    const [where] = await calls('vagrant');
    expect(await readdir(where ?? '')).toContain('Vagrantfile');
    expect(await calls('ssh')).toContain('client -- date');
    await closed();
  });

  it('are closed when the signal comes, and what runs over them ends', async () => {
    const interrupted = new AbortController();
    const ssh = await Ssh.open(machines, interrupted.signal);
    const lingering = ssh.run('gateway', ['linger']);
    await vi.waitFor(async () => expect(await calls('ssh')).toContain('gateway -- linger'), 4_000);
    interrupted.abort();
    await expect(lingering).rejects.toThrow('canceled');
    await ssh[Symbol.asyncDispose]();
    await closed();
  });

  it('are closed when the signal comes while they are made', async () => {
    await program('ssh', 'echo "$*" >>"$0.called"; case "$*" in *-O*) ;; *) exec sleep 60 ;; esac');
    const interrupted = new AbortController();
    const opening = Ssh.open(machines, interrupted.signal);
    await vi.waitFor(async () => expect(await calls('ssh')).toContain('gateway -- true'), 4_000);
    interrupted.abort();
    await expect(opening).rejects.toThrow('canceled');
    await closed();
  });
});
