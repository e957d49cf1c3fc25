// The object that is shipped is what its sources give: rebuilt here, and in another folder, byte for byte.
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');
const shipped = join(root, 'bpf', 'penstock.bpf.o');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-build-bpf-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('the committed object is what scripts/build-bpf makes of the committed sources', async () => {
  const object = join(folder, 'here.o');
  await run(join(root, 'scripts/build-bpf'), [join(root, 'bpf/penstock.bpf.c'), object]);
  await expectShipped(object);
});

test('a copy in another folder gives the same bytes', async () => {
  const copy = join(folder, 'somewhere', 'else');
  await cp(join(root, 'bpf'), join(copy, 'bpf'), { recursive: true });
  await cp(join(root, 'scripts/build-bpf'), join(copy, 'scripts/build-bpf'), { recursive: true });
  await rm(join(copy, 'bpf/penstock.bpf.o'));
  await run(join(copy, 'scripts/build-bpf'));
  await expectShipped(join(copy, 'bpf/penstock.bpf.o'));
});

async function expectShipped(object: string): Promise<void> {
  const [built, committed] = await Promise.all([readFile(object), readFile(shipped)]);
  const { stdout: version } = await run('clang-14', ['--version']);
  expect(
    built.equals(committed),
    `bpf/penstock.bpf.o is not what its sources give. After a change of bpf/, commit what scripts/build-bpf makes.
Unchanged, it is another compiler or another libbpf-dev than Debian 12's: ${version.split('\n')[0]}`,
  ).toBe(true);
}
