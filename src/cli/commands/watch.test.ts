import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';
import { mapping } from '../testing/samples.ts';

const cli = commandUnderTest();

describe('watch', () => {
  it('prints one object a line with -o json', async () => {
    cli.gateway.events = [
      { revision: 1, applied: { assigned: [mapping], assignedTotal: 1 } },
      { revision: 2, warning: { code: 'X', message: 'y' } },
    ];
    const { code, stdout } = await cli.penstock(['watch', '-o', 'json', '--lb', 'web', '--after', '3']);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { revision: '1', applied: { assigned: [{ frontendPort: 500 }] } },
      { revision: '2', warning: { code: 'X' } },
    ]);
  });

  it('prints what happened for people', async () => {
    cli.gateway.events = [
      { revision: 1, time: { seconds: 0 }, applied: { assigned: [mapping], assignedTotal: 1 } },
    ];
    expect((await cli.penstock(['watch'])).stdout).toBe(
      '1970-01-01T00:00:00Z  revision 1: 1 port new, 0 released, 0 remapped; 0 entries added, 0 replaced, 0 deleted\n' +
        '+ web/ssh: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:22)\n',
    );
  });
});
