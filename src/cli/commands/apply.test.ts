import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';
import { refusal } from '../testing/fake-gateway.ts';
import { mapping } from '../testing/samples.ts';

const cli = commandUnderTest();

async function file(name: string, text: string): Promise<string> {
  const path = join(cli.gateway.folder, name);
  await writeFile(path, text);
  return path;
}

describe('apply', () => {
  it('names the new address of a machine that keeps its port', async () => {
    cli.gateway.answer = {
      revision: 7,
      plan: {
        remapped: [{ before: mapping, after: { ...mapping, backendAddress: '10.0.0.44' } }],
        remappedTotal: 1,
      },
    };
    const { stdout } = await cli.penstock(['apply', '-f', '-'], 'name: web');
    expect(stdout).toContain('~ web/ssh: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:22), now 10.0.0.44:22\n');
  });

  it('puts the load balancers and prints the plan', async () => {
    cli.gateway.answer = {
      revision: 7,
      plan: {
        assigned: [mapping],
        assignedTotal: 1,
        remapped: [{ before: { ...mapping, frontendPort: 500 }, after: { ...mapping, frontendPort: 700 } }],
        remappedTotal: 1,
        entriesAdded: 1,
        commitTime: { nanos: 3_200_000 },
      },
    };
    const done = await cli.penstock(
      ['apply', '-f', '-', '--allow-remap', '--request-id', 'x', '--expected-revision', '6'],
      'name: web',
    );
    expect(done).toEqual({
      code: 0,
      stdout:
        '~ web/ssh: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:22), now 203.0.113.10:700\n' +
        '+ web/ssh: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:22)\n' +
        'revision 7: 1 port new, 0 released, 1 remapped; 1 entry added, 0 replaced, 0 deleted; committed in 3.2 ms\n',
      stderr: '',
    });
    expect(cli.gateway.applied).toMatchObject([
      {
        changes: { putLoadBalancers: [{ name: 'web' }] },
        allowRemap: true,
        requestId: 'x',
        expectedRevision: 6,
      },
    ]);
  });

  it('only asks with --dry-run', async () => {
    const { code, stdout } = await cli.penstock(['apply', '-f', '-', '--dry-run'], 'name: web');
    expect([code, stdout]).toEqual([
      0,
      'dry run at revision 2, nothing was changed: the forwarding stays as it is\n',
    ]);
    expect(cli.gateway.applied[0]?.validateOnly).toBe(true);
  });

  it('streams with --replace, members of one pool in several parts', async () => {
    const members = Array.from({ length: 9_000 }, (_, index) => ({ id: `vm-${index}`, address: '10.0.0.1' }));
    const config = { loadBalancers: [{ name: 'a' }, { name: 'b', backendPools: [{ name: 'p', members }] }] };
    expect((await cli.penstock(['apply', '--replace', '-f', '-'], JSON.stringify(config))).code).toBe(0);
    const [chunks = []] = cli.gateway.replaced;
    expect(chunks.length).toBeGreaterThan(2);
    expect(chunks.map((chunk) => chunk.commit !== null)).toEqual(
      chunks.map((_, at) => at === chunks.length - 1),
    );
    const sent = chunks.flatMap((chunk) =>
      chunk.loadBalancers.flatMap((part) =>
        part.backendPools.flatMap((pool) => pool.members.map(({ id }) => id)),
      ),
    );
    expect(sent).toEqual(members.map(({ id }) => id));
  });

  it('lists every offender with its line when it is refused', async () => {
    cli.gateway.refusals = [
      refusal('PORT_RANGE_EXHAUSTED', 'the pool needs 3 ports, the range has 2', [
        { field: 'put_load_balancers[0].inbound_nat_rules[0].pool', description: 'needs 3, has 2' },
        { field: 'expected_revision', description: 'also wrong' },
      ]),
    ];
    const text = 'name: web\ninboundNatRules:\n- name: ssh\n  pool:\n    maximumMachines: 2\n';
    const path = await file('gateway.yaml', text);
    expect(await cli.penstock(['apply', '-f', path])).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'error: PORT_RANGE_EXHAUSTED: the pool needs 3 ports, the range has 2\n' +
        `  ${path}:4: put_load_balancers[0].inbound_nat_rules[0].pool: needs 3, has 2\n` +
        '  expected_revision: also wrong\n',
    });
  });

  it.each([
    ['a.b', 'error: NAME_INVALID: refused; nothing was changed\n  a.b: too long\n'],
    ['', 'error: NAME_INVALID: too long\n'],
  ])('says what is wrong once, with field %j', async (field, stderr) => {
    const message = field === '' ? 'too long' : `${field}: too long`;
    cli.gateway.refusals = [refusal('NAME_INVALID', message, [{ field, description: 'too long' }])];
    expect((await cli.penstock(['apply', '-f', '-'], 'name: a')).stderr).toBe(stderr);
  });

  it('sends nothing of a file with mistakes', async () => {
    const path = await file('wrong.yaml', 'name: web\nprobs: []\n---\nname: web\n');
    expect(await cli.penstock(['apply', '-f', path])).toEqual({
      code: 2,
      stdout: '',
      stderr:
        `error: ${path}: 2 mistakes; nothing was sent\n` +
        `  ${path}:2: probs: unknown field; did you mean probes?\n` +
        `  ${path}:4: name: a load balancer web stands already at ${path}:1\n`,
    });
    expect(cli.gateway.applied).toEqual([]);
  });

  it('gives the whole answer as JSON', async () => {
    cli.gateway.answer = { revision: 3, plan: { assigned: [mapping], assignedTotal: 1 } };
    const { stdout } = await cli.penstock(['apply', '-f', '-', '-o', 'json'], 'name: web');
    expect(JSON.parse(stdout)).toEqual({
      revision: '3',
      plan: {
        assigned: [
          {
            ...mapping,
            protocol: 'PROTOCOL_TCP',
            assigned: '2026-01-01T00:00:00Z',
            counters: { packets: '1234', bytes: '2048', flows: '7' },
          },
        ],
        assignedTotal: '1',
      },
    });
  });
});
