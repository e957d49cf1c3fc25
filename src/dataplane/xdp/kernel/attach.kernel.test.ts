// Programs on interfaces, and what outlives the agent, on the real kernel. Needs root, ip, python3, libbpf and clang.
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { attach } from './attach.ts';
import { attachments } from './attachments.ts';
import { detach } from './detach.ts';
import { detachMoved } from './detach-moved.ts';
import { xdpState } from './interface.ts';
import { type LoadRequest, loadProgram } from './load.ts';
import { openPinDirectory, type PinDirectory } from './pin-directory.ts';
import { pinProgram, runningPrograms, unpinProgram } from './pinned-programs.ts';
import type { LoadedProgram } from './program.ts';
import { removeAll } from './remove-all.ts';
import { type Compiled, compile } from './testing/compile.ts';
import { buildNetwork, ip, type Network } from './testing/network.ts';

let network: Network;
let small: Compiled;
let near: number;
let directory: PinDirectory;
const opened: LoadedProgram[] = [];

beforeAll(async () => {
  network = await buildNetwork();
  near = await network.indexOf('near');
  small = await compile('small.bpf.c');
});
afterAll(async () => {
  small?.[Symbol.dispose]();
  await network?.close();
});
beforeEach(() => {
  directory = openPinDirectory();
});
afterEach(() => {
  for (const program of opened.splice(0)) program.close();
  removeAll(directory);
  expect(existsSync(directory.path)).toBe(false);
});

/** With XDP_PASS for every frame. */
async function load(request: Partial<LoadRequest> = {}): Promise<LoadedProgram> {
  const program = await loadProgram({ object: small.object, shape: {}, settings: {}, ...request });
  opened.push(program);
  new Uint32Array(program.memory('cells').buffer)[0] = 2;
  return program;
}

function seen(program: LoadedProgram): number {
  return Atomics.load(new Uint32Array(program.memory('cells').buffer), 1);
}

function idOf(program: LoadedProgram, name = 'penstock'): number {
  return program.programs.get(name)?.id ?? 0;
}

/** Sends so many datagrams from the peer, a little pause after each ten. */
async function send(count: number): Promise<void> {
  const script = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(${count}):
    s.sendto(b'x' * 30, ('10.77.0.1', 4000))
    if i % 10 == 9: time.sleep(0.0005)
`;
  await ip(['neigh replace 10.77.0.1 lladdr 02:00:00:00:00:01 dev far nud permanent'], network.peer);
  await execa('nsenter', [`--net=/run/netns/${network.peer}`, '--', 'python3', '-c', script]);
}

describe('attaching', () => {
  it('takes native mode where the driver has it, and frames go through the program', async () => {
    const program = await load();
    attach(directory, program, near);
    expect(attachments(directory)).toEqual([
      { ifindex: near, name: 'near', driver: 'veth', mode: 'native', program: idOf(program) },
    ]);
    await send(100);
    expect(seen(program)).toBeGreaterThanOrEqual(100);
    expect(new Uint32Array(program.memory('cells').buffer)[2]).toBe(near);
    detach(directory, near);
    detach(directory, near);
    expect(attachments(directory)).toEqual([]);
    expect(xdpState(near)).toEqual({ native: 0, generic: 0, hardware: 0 });
    const before = seen(program);
    await send(10);
    expect(seen(program)).toBe(before);
  });

  it('falls back to generic mode, and keeps the reason for the next agent', async () => {
    await ip(['link add plain type bridge', 'link set plain up']);
    const plain = await network.indexOf('plain');
    const program = await load();
    attach(directory, program, plain);
    const expected = {
      ifindex: plain,
      name: 'plain',
      driver: 'bridge',
      mode: 'generic',
      program: idOf(program),
      reason: 'Underlying driver does not support XDP in native mode',
    };
    expect(attachments(directory)).toEqual([expected]);
    directory.close();
    directory = openPinDirectory();
    expect(attachments(directory)).toEqual([expected]);
    await ip(['link del plain']);
  });

  it('takes the program for jumbo frames where the MTU asks for it', async () => {
    await ip(['link set near mtu 9000']);
    await ip(['link set far mtu 9000'], network.peer);
    const program = await load();
    attach(directory, program, near);
    expect(attachments(directory)).toMatchObject([
      { mode: 'native', program: idOf(program, 'penstock_frags') },
    ]);
    const second = await load();
    attach(directory, second, near);
    expect(attachments(directory)).toMatchObject([
      { mode: 'native', program: idOf(second, 'penstock_frags') },
    ]);
    detach(directory, near);
    await ip(['link set near mtu 1500']);
    await ip(['link set far mtu 1500'], network.peer);
  });

  it("leaves another tool's program alone, and says how to take it off", async () => {
    for (const mode of ['xdp', 'xdpgeneric']) {
      await execa('ip', ['link', 'set', 'near', mode, 'object', small.object, 'section', 'xdp']);
      const before = xdpState(near);
      const id = before.native || before.generic;
      expect(id).toBeGreaterThan(0);
      const program = await load();
      let caught: unknown;
      try {
        attach(directory, program, near);
      } catch (error) {
        caught = error;
      }
      await execa('ip', ['link', 'set', 'near', mode, 'off']);
      expect(caught).toMatchObject({
        findings: [
          {
            code: 'XDP_FOREIGN_PROGRAM',
            message: `near has an XDP program already, which is not Penstock's (id ${id})`,
            remedy: expect.stringContaining('ip link set dev near xdp off'),
          },
        ],
      });
      expect(attachments(directory)).toEqual([]);
    }
  });

  it('knows an interface that is not there', async () => {
    const program = await load();
    expect(() => attach(directory, program, 9999)).toThrow('XDP_INTERFACE_MISSING');
  });

  it('forgets an interface that has gone', async () => {
    await ip(['link add gone type veth peer name gone1', 'link set gone up']);
    attach(directory, await load(), await network.indexOf('gone'));
    expect(attachments(directory)).toHaveLength(1);
    await ip(['link del gone']);
    expect(attachments(directory)).toEqual([]);
    expect(readdirSync(directory.links)).toEqual([]);
  });
});

describe('an interface that was moved to another namespace', () => {
  it('is rid of our program, whatever its number is there', async () => {
    const index = 4711;
    await ip([`link add moved index ${index} type veth peer name moved1`, 'link set moved up']);
    await ip([`link add taken index ${index} type veth peer name taken1`], network.peer);
    const program = await load();
    attach(directory, program, index);
    attach(directory, program, near);
    expect(detachMoved(directory)).toEqual([]);
    const shows = async (): Promise<boolean> =>
      (await execa('ip', ['-n', network.peer, 'link', 'show', 'moved'])).stdout.includes('xdp');
    await ip([`link set moved netns ${network.peer}`]);
    expect(await shows()).toBe(true);
    expect(attachments(directory).map(({ name }) => name)).toEqual(['near']);
    expect(detachMoved(directory)).toEqual([index]);
    expect(await shows()).toBe(false);
    expect(detachMoved(directory)).toEqual([]);
    await ip(['link del moved', 'link del taken'], network.peer);
  });

  it('does not keep another one of its number from getting the program', async () => {
    const index = 4712;
    await ip([`link add moved index ${index} type veth peer name moved1`, 'link set moved up']);
    const program = await load();
    attach(directory, program, index);
    await ip([
      `link set moved netns ${network.peer}`,
      `link add later index ${index} type veth peer name l1`,
    ]);
    attach(directory, program, index);
    expect(attachments(directory).map(({ name }) => name)).toEqual(['later']);
    const { stdout } = await execa('ip', ['-n', network.peer, 'link', 'show', 'moved']);
    expect(stdout).not.toContain('xdp');
    await ip(['link del moved'], network.peer);
    await ip(['link del later']);
  });
});

describe('replacing', () => {
  it('loses no frame', async () => {
    const first = await load();
    const second = await load({ reuse: { from: first, maps: ['cells'] } });
    attach(directory, first, near);
    const count = 10_000;
    let sending = true;
    const sent = send(count).finally(() => {
      sending = false;
    });
    let replaced = 0;
    while (sending) {
      attach(directory, replaced % 2 === 0 ? second : first, near);
      replaced += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await sent;
    expect(replaced).toBeGreaterThan(20);
    // One that had met no program would not have been counted.
    expect(seen(first)).toBeGreaterThanOrEqual(count);
    const counts = [first, second].map((program) => program.perCpuSums('counts')[1] ?? 0);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  it('does nothing where the program is there already', async () => {
    const program = await load();
    attach(directory, program, near);
    const before = attachments(directory);
    attach(directory, program, near);
    expect(attachments(directory)).toEqual(before);
  });
});

describe('what outlives the agent', () => {
  async function killed(...args: readonly string[]): Promise<void> {
    const child = execa(
      process.execPath,
      [join(import.meta.dirname, 'testing/attach-and-wait.ts'), small.object, String(near), ...args],
      { reject: false, stderr: 'inherit' },
    );
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await child;
  }

  it('is found again, with its maps, settings and content', async () => {
    await killed();
    const found = await runningPrograms(directory);
    expect(found).toHaveLength(1);
    const [{ number, program } = { number: 0, program: undefined }] = found;
    if (program === undefined) return;
    opened.push(program);
    expect(number).toBe(1);
    expect(program.settings).toEqual({ which: 7, mark: 0x77, wide: 0 });
    expect([...program.programs.keys()].sort()).toEqual(['penstock', 'penstock_frags']);
    expect([...program.maps.keys()].sort()).toEqual(['cells', 'counts', 'rodata', 'verdicts']);
    expect(attachments(directory)).toMatchObject([{ name: 'near', program: idOf(program) }]);
    const words = new Uint32Array(program.memory('cells').buffer);
    expect([...words.subarray(28, 30)]).toEqual([2, expect.any(Number)]);
    const before = words[29] ?? 0;
    expect(before).toBeGreaterThanOrEqual(4711);
    await send(10);
    expect(words[29]).toBeGreaterThanOrEqual(before + 10);

    const next = await load({ reuse: { from: program, maps: ['cells'] }, settings: { which: 7 } });
    const pinned = pinProgram(directory, next);
    expect(pinned.number).toBe(2);
    attach(directory, next, near);
    unpinProgram(directory, number);
    const left = await runningPrograms(directory);
    opened.push(...left.map((each) => each.program));
    expect(left.map((each) => each.number)).toEqual([2]);
  });

  it('is removed if no packet goes through it', async () => {
    await killed('attach');
    expect(readdirSync(directory.programs)).toEqual(['1']);
    expect(await runningPrograms(directory)).toEqual([]);
    expect(readdirSync(directory.programs)).toEqual([]);
  });

  it('is of no use to another network namespace, and goes with its own', async () => {
    const elsewhere = `penstock-kernel-gone-${process.pid}`;
    await ip([`netns add ${elsewhere}`]);
    await ip(['link add far0 type veth peer name far1', 'link set far0 up'], elsewhere);
    const { stdout } = await execa('ip', ['-n', elsewhere, '-json', 'link', 'show', 'far0']);
    const [link] = JSON.parse(stdout) as { ifindex: number }[];
    const script = join(import.meta.dirname, 'testing/attach-and-wait.ts');
    const child = execa(
      'nsenter',
      [`--net=/run/netns/${elsewhere}`, process.execPath, script, small.object, String(link?.ifindex)],
      { reject: false, stderr: 'inherit' },
    );
    const [text] = (await once(child.stdout, 'data')) as [Buffer];
    const theirs = text.toString();
    expect(theirs).not.toBe(directory.path);
    const reopen = (): void => {
      directory.close();
      directory = openPinDirectory();
    };
    expect(await runningPrograms(directory)).toEqual([]);
    child.kill('SIGKILL');
    await child;
    reopen();
    expect(existsSync(theirs)).toBe(true);
    await ip([`netns del ${elsewhere}`]);
    // The kernel takes a namespace down some time after its last user has gone.
    await expect
      .poll(
        () => {
          reopen();
          return existsSync(theirs);
        },
        { timeout: 10_000 },
      )
      .toBe(false);
  });
});

it('removes everything, and can begin again', async () => {
  const program = await load();
  pinProgram(directory, program);
  attach(directory, program, near);
  removeAll(directory);
  expect(existsSync(directory.path)).toBe(false);
  expect(xdpState(near)).toEqual({ native: 0, generic: 0, hardware: 0 });
  directory = openPinDirectory();
  expect(await runningPrograms(directory)).toEqual([]);
  attach(directory, program, near);
  expect(attachments(directory)).toHaveLength(1);
});
