// Runs the Python client against a gateway's address, with stubs made from the .proto files for the occasion.
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

/** The system's, which has the packages python3-grpcio and python3-grpc-tools. */
const python = '/usr/bin/python3';
const proto = resolve(import.meta.dirname, '../../../proto');

/** What the client printed at its end. */
export interface PythonReport {
  /** The version of its gRPC library. */
  readonly grpc: string;
  /** Names of the checks, all of which passed. */
  readonly passed: readonly string[];
}

/** Throws with what the client printed when one of its checks fails. `address`: as gRPC's C core takes it. */
export async function runPythonClient(address: string): Promise<PythonReport> {
  const work = await mkdtemp(join(tmpdir(), 'penstock-python-'));
  try {
    const stubs = await makeStubs(work);
    const { stdout } = await execa(python, [join(import.meta.dirname, 'client.py'), address, stubs], {
      timeout: 90_000,
      env: { PYTHONDONTWRITEBYTECODE: '1', no_proxy: '*' },
    });
    return JSON.parse(stdout);
  } finally {
    await rm(work, { recursive: true });
  }
}

/** Stubs of our API, and of health and reflection, whose .proto files come with the packages that serve them. */
async function makeStubs(work: string): Promise<string> {
  const sources = join(work, 'proto');
  const stubs = join(work, 'stubs');
  await cp(proto, sources, { recursive: true });
  // Not under grpc/, where Python would look for them in its gRPC library.
  await cp(packageFile('grpc-health-check', 'proto/health'), join(sources, 'health'), { recursive: true });
  const reflection = packageFile('@grpc/reflection', 'build/proto/grpc/reflection/v1alpha');
  await cp(reflection, join(sources, 'reflection/v1alpha'), { recursive: true });
  await mkdir(stubs);
  const files = (await readdir(sources, { recursive: true })).filter((file) => file.endsWith('.proto'));
  await execa(
    python,
    [
      '-m',
      'grpc_tools.protoc',
      `-I${sources}`,
      `--python_out=${stubs}`,
      `--grpc_python_out=${stubs}`,
      ...files,
    ],
    { cwd: sources },
  );
  return stubs;
}

function packageFile(name: string, path: string): string {
  const entry = fileURLToPath(import.meta.resolve(name));
  const root = entry.slice(0, entry.indexOf(join('node_modules', name)) + join('node_modules', name).length);
  return join(root, path);
}
