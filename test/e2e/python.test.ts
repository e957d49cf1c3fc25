// A client in another language, which knows only the .proto files, uses the API from end to end.
import { expect, test } from 'vitest';
import { serve } from '../../src/api/testing/serve.ts';
import { pythonIsThere, runPythonClient } from './python/client.ts';

test.skipIf(!(await pythonIsThere()))(
  'a Python client over a unix socket, against the API alone',
  async () => {
    await using served = await serve();
    const { passed } = await runPythonClient(served.address);
    expect(passed).toContain('check_large_refusal');
  },
);
