// A client in another language, which knows only the .proto files, uses the API from end to end.
import { describe, expect, it } from 'vitest';
import { serve } from '../../src/api/testing/serve.ts';
import { Lab } from '../lab/lab.ts';
import { runPythonClient } from './python/client.ts';

describe('a Python client', () => {
  it('gets along with the API alone', async () => {
    await using served = await serve();
    const { passed } = await runPythonClient(served.address);
    expect(passed).toContain('check_large_refusal');
  });

  it('gets along with an agent', async () => {
    await using lab = await Lab.up({ name: `python-${process.pid}`, backends: 0, agent: true });
    const { passed } = await runPythonClient(lab.address);
    expect(passed).toContain('check_replace_all');
  });
});
