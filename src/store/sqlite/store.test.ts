import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Row, type RowChange, StoreFailed } from '../store.ts';
import { SqliteStore } from './store.ts';

let directory: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-store-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

const row = (id: string, value = 'v'): Row => ({ kind: 'member', key: ['lb', 'pool', id], value });
const change = (id: string, before: string | undefined, after: string | undefined): RowChange => ({
  kind: 'member',
  key: ['lb', 'pool', id],
  before,
  after,
});
const added = (id: string): RowChange => change(id, undefined, 'v');

async function reopened<T>(use: (store: SqliteStore) => Promise<T>): Promise<T> {
  const store = new SqliteStore(directory);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

describe('SqliteStore', () => {
  it('begins empty, with an identity of its own', async () => {
    const first = await reopened((store) => store.load());
    expect(first).toMatchObject({ revision: 0, rows: [], hostChanges: [] });
    expect(first.instance).toMatch(/^[0-9a-f]{16}$/);
    expect((await reopened((store) => store.load())).instance).toBe(first.instance);
  });

  it('keeps revisions, and the way back from the last one', async () => {
    await reopened(async (store) => {
      await store.save(1, [added('a'), added('b')]);
      await store.save(2, [change('b', 'v', 'w'), change('a', 'v', undefined), added('c')]);
    });
    const saved = await reopened((store) => store.load());
    expect(saved.revision).toBe(2);
    expect(saved.rows).toEqual([row('b', 'w'), row('c')]);
    expect(saved.undo).toEqual([row('b'), row('a'), { ...row('c'), value: undefined }]);
  });

  it('takes the last revision back, with its answer', async () => {
    await reopened(async (store) => {
      const answer = { requestId: 'r', body: new Uint8Array([1]) };
      await store.save(1, [added('a')]);
      await store.save(2, [change('a', 'v', 'w'), added('b')], answer);
      expect(store.answer('r')).toEqual(answer.body);
      await store.revert();
      expect(store.answer('r')).toBeUndefined();
    });
    expect(await reopened((store) => store.load())).toMatchObject({ revision: 1, rows: [row('a')] });
  });

  it('does not keep a way back that is as large as the state', async () => {
    const changes = Array.from({ length: 10_001 }, (_, index) => added(String(index)));
    await reopened((store) => store.save(1, changes));
    const saved = await reopened((store) => store.load());
    expect(saved.rows).toHaveLength(10_001);
    expect(saved.undo).toBeUndefined();
  });

  it('remembers the last 1,000 answers', async () => {
    await reopened(async (store) => {
      for (let index = 1; index <= 1_010; index += 1) {
        const answer = { requestId: `r${index}`, body: new Uint8Array([index % 256]) };
        await store.save(index, [], answer);
      }
    });
    await reopened(async (store) => {
      expect(store.answer('r10')).toBeUndefined();
      expect(store.answer('r11')).toEqual(new Uint8Array([11]));
      expect(store.answer('r1010')).toEqual(new Uint8Array([1010 % 256]));
    });
  });

  it('records what was changed on the host, the first value winning', async () => {
    await reopened(async (store) => {
      await store.recordHostChanges([{ kind: 'sysctl', name: 'net.ipv4.ip_forward', detail: '0' }]);
      await store.recordHostChanges([{ kind: 'sysctl', name: 'net.ipv4.ip_forward', detail: '1' }]);
      await store.recordHostChanges([{ kind: 'address', name: '203.0.113.1', detail: 'lo' }]);
      await store.forgetHostChanges([{ kind: 'address', name: '203.0.113.1', detail: 'lo' }]);
    });
    const { hostChanges } = await reopened((store) => store.load());
    expect(hostChanges).toEqual([{ kind: 'sysctl', name: 'net.ipv4.ip_forward', detail: '0' }]);
  });

  it('is readable by its owner alone, and so is its journal', async () => {
    await reopened(async (store) => {
      await store.save(1, [added('a')]);
      for (const name of ['penstock.db', 'penstock.db-wal']) {
        expect(statSync(join(directory, name)).mode & 0o777, name).toBe(0o600);
      }
    });
  });

  it('keeps a second agent out, with a remedy', async () => {
    await reopened(async () => {
      expect(() => new SqliteStore(directory)).toThrow(/in use by another process/);
      try {
        new SqliteStore(directory);
      } catch (error) {
        expect(error).toBeInstanceOf(StoreFailed);
        expect((error as StoreFailed).remedy).toMatch(/--state-directory/);
      }
    });
  });

  it('makes its directory, and says so where it cannot', async () => {
    const nested = join(directory, 'a', 'b');
    await new SqliteStore(nested).close();
    expect(statSync(nested).mode & 0o777).toBe(0o700);
    expect(() => new SqliteStore('/proc/penstock/state')).toThrow(/cannot open the state file/);
  });

  it('refuses a damaged file instead of forgetting what was declared', async () => {
    await reopened((store) =>
      store.save(
        1,
        Array.from({ length: 500 }, (_, index) => added(String(index))),
      ),
    );
    const file = join(directory, 'penstock.db');
    const bytes = readFileSync(file);
    bytes.fill(0x5a, 8192, 16384);
    writeFileSync(file, bytes);
    expect(() => new SqliteStore(directory)).toThrow(/damaged/);
  });

  it('refuses a file of another schema', async () => {
    const { DatabaseSync } = await import('node:sqlite');
    await reopened(async () => {});
    const database = new DatabaseSync(join(directory, 'penstock.db'));
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => new SqliteStore(directory)).toThrow(/another version of Penstock/);
  });

  it('loses nothing that it acknowledged when the process is killed', { timeout: 60_000 }, async () => {
    const module = JSON.stringify(join(import.meta.dirname, 'store.ts'));
    const script = `
      import { SqliteStore } from ${module};
      const store = new SqliteStore(${JSON.stringify(directory)});
      let { revision } = await store.load();
      for (;;) {
        revision += 1;
        const row = { kind: 'member', key: ['lb', 'pool', String(revision)], before: undefined, after: 'v' };
        await store.save(revision, [row]);
        process.stdout.write(revision + '\\n');
      }`;
    for (let round = 0; round < 5; round += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
      children.push(child);
      let acknowledged = 0;
      const lines = createInterface({ input: child.stdout });
      lines.on('line', (line) => {
        acknowledged = Number(line);
        if (acknowledged % 50 === 37) child.kill('SIGKILL');
      });
      await Promise.all([once(child, 'exit'), once(lines, 'close')]);
      const saved = await reopened((store) => store.load());
      expect(saved.revision).toBeGreaterThanOrEqual(acknowledged);
      expect(saved.revision).toBeLessThanOrEqual(acknowledged + 50);
      expect(saved.rows).toHaveLength(saved.revision);
    }
  });
});
