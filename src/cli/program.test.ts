// The commands from argument to exit code, against an agent of canned answers on a real socket.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Message } from '../wire/client.ts';
import { penstock as proto } from '../wire/generated/proto.js';
import { run } from './program.ts';
import { FakeGateway, refusal } from './testing/fake-gateway.ts';
import { RecordedTerminal } from './testing/recorded-terminal.ts';

let gateway: FakeGateway;

beforeEach(async () => {
  gateway = await FakeGateway.start();
});
afterEach(async () => {
  await gateway.stop();
});

async function penstock(args: readonly string[], stdin = '') {
  const terminal = new RecordedTerminal();
  const code = await run(['--address', gateway.address, ...args], terminal, Readable.from([stdin]));
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}

async function file(name: string, text: string): Promise<string> {
  const path = join(gateway.folder, name);
  await writeFile(path, text);
  return path;
}

const mapping = {
  loadBalancer: 'web',
  rule: 'ssh',
  frontendAddress: '203.0.113.10',
  protocol: 1,
  frontendPort: 500,
  member: 'vm-1',
  backendAddress: '10.0.0.4',
  backendPort: 22,
  assigned: { seconds: 1_767_225_600 },
  counters: { packets: 1234, bytes: 2048, flows: 7 },
};

describe('apply', () => {
  it('puts the load balancers and prints the plan', async () => {
    gateway.answer = {
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
    const done = await penstock(
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
    expect(gateway.applied).toMatchObject([
      {
        changes: { putLoadBalancers: [{ name: 'web' }] },
        allowRemap: true,
        requestId: 'x',
        expectedRevision: 6,
      },
    ]);
  });

  it('only asks with --dry-run', async () => {
    const { code, stdout } = await penstock(['apply', '-f', '-', '--dry-run'], 'name: web');
    expect([code, stdout]).toEqual([
      0,
      'dry run at revision 2, nothing was changed: the forwarding stays as it is\n',
    ]);
    expect(gateway.applied[0]?.validateOnly).toBe(true);
  });

  it('streams with --replace, members of one pool in several parts', async () => {
    const members = Array.from({ length: 9_000 }, (_, index) => ({ id: `vm-${index}`, address: '10.0.0.1' }));
    const config = { loadBalancers: [{ name: 'a' }, { name: 'b', backendPools: [{ name: 'p', members }] }] };
    expect((await penstock(['apply', '--replace', '-f', '-'], JSON.stringify(config))).code).toBe(0);
    const [chunks = []] = gateway.replaced;
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
    gateway.refusals = [
      refusal('PORT_RANGE_EXHAUSTED', 'the pool needs 3 ports, the range has 2', [
        { field: 'put_load_balancers[0].inbound_nat_rules[0].pool', description: 'needs 3, has 2' },
        { field: 'expected_revision', description: 'also wrong' },
      ]),
    ];
    const text = 'name: web\ninboundNatRules:\n- name: ssh\n  pool:\n    maximumMachines: 2\n';
    const path = await file('gateway.yaml', text);
    expect(await penstock(['apply', '-f', path])).toEqual({
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
    gateway.refusals = [refusal('NAME_INVALID', message, [{ field, description: 'too long' }])];
    expect((await penstock(['apply', '-f', '-'], 'name: a')).stderr).toBe(stderr);
  });

  it('sends nothing of a file with mistakes', async () => {
    const path = await file('wrong.yaml', 'name: web\nprobs: []\n---\nname: web\n');
    expect(await penstock(['apply', '-f', path])).toEqual({
      code: 2,
      stdout: '',
      stderr:
        `error: ${path}: 2 mistakes; nothing was sent\n` +
        `  ${path}:2: probs: unknown field; did you mean probes?\n` +
        `  ${path}:4: name: a load balancer web stands already at ${path}:1\n`,
    });
    expect(gateway.applied).toEqual([]);
  });

  it('gives the whole answer as JSON', async () => {
    gateway.answer = { revision: 3, plan: { assigned: [mapping], assignedTotal: 1 } };
    const { stdout } = await penstock(['apply', '-f', '-', '-o', 'json'], 'name: web');
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

const declared = {
  name: 'web',
  frontends: [{ name: 'public', address: 'fd00::1', addressOwnership: 1 }],
  backendPools: [
    {
      name: 'machines',
      members: [{ id: 'vm-1', address: '10.0.0.4', weight: 1, adminState: 1, pins: { ssh: 501 } }],
    },
  ],
  inboundNatRules: [
    {
      name: 'ssh',
      frontend: 'public',
      protocol: 1,
      backendPort: 22,
      pool: {
        backendPool: 'machines',
        frontendPortRangeStart: 500,
        frontendPortRangeEnd: 1499,
        portsPerMember: 1,
      },
      flow: { sourceNat: 1 },
      whenUnhealthy: 1,
    },
    { name: 'one', frontend: 'public', protocol: 2, backendPort: 53, single: { frontendPort: 53 } },
  ],
  loadBalancingRules: [
    {
      name: 'http',
      frontend: 'public',
      protocol: 1,
      frontendPort: 80,
      backendPort: 8080,
      backendPool: 'machines',
      sessionPersistence: 2,
      drainPeriod: { seconds: 90, nanos: 500_000_000 },
      limits: { allowedClients: ['fd00::/8'], newFlowsPerSecond: 10, newFlowsBurst: 10, concurrentFlows: 5 },
    },
  ],
};

/** Two messages that are the same in every field have the same bytes. */
function bytesOf(loadBalancer: Message<'LoadBalancer'>): string {
  return Buffer.from(proto.v1.LoadBalancer.encode(loadBalancer).finish()).toString('hex');
}

function sentBytes(): readonly string[] {
  return (gateway.applied[0]?.changes.putLoadBalancers ?? []).map(bytesOf);
}

describe('get lb', () => {
  it.each(['yaml', 'json'])('-o %s is taken by apply as it is', async (format) => {
    gateway.loadBalancerChunks = [
      { revision: 5, loadBalancers: [declared] },
      { revision: 5, loadBalancers: [{ name: 'empty' }] },
    ];
    const { stdout } = await penstock(['get', 'lb', '-o', format]);
    expect((await penstock(['apply', '-f', '-'], stdout)).code).toBe(0);
    expect(sentBytes()).toEqual([bytesOf(declared), bytesOf({ name: 'empty' })]);
  });

  it('gives one load balancer that apply takes', async () => {
    gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared] }];
    const { stdout } = await penstock(['get', 'lb', 'web', '-o', 'yaml']);
    expect((await penstock(['apply', '-f', '-'], stdout)).code).toBe(0);
    expect(sentBytes()).toEqual([bytesOf(declared)]);
  });

  it('prints a line each, joined from parts', async () => {
    const part = {
      name: 'web',
      backendPools: [{ name: 'machines', members: [{ id: 'vm-2', address: '10.0.0.5' }] }],
    };
    gateway.loadBalancerChunks = [
      { revision: 5, loadBalancers: [declared] },
      {
        revision: 5,
        loadBalancers: [part],
        ruleCounters: [
          { loadBalancer: 'web', rule: 'http', counters: { packets: 5, bytes: 3000, flows: 1 } },
        ],
        memberCounters: [
          {
            loadBalancer: 'web',
            backendPool: 'machines',
            member: 'vm-1',
            backendAddress: '10.0.0.4',
            counters: { packets: 4, bytes: 1024, flows: 2 },
          },
        ],
        limitCounters: [
          { loadBalancer: 'web', loadBalancingRule: 'http', refusedByClient: 3, refusedByRate: 1_200 },
          { loadBalancer: 'web', inboundNatRule: 'ssh', refusedByConcurrency: 7 },
        ],
      },
    ];
    expect((await penstock(['get', 'lb', '-o', 'wide'])).stdout).toBe(
      'NAME   FRONTENDS   POOLS   MEMBERS   NAT RULES   LB RULES   PACKETS   TRAFFIC   FLOWS   ADDRESSES\n' +
        'web            1       1         2           2          1         5   2.9 KiB       1   fd00::1\n',
    );
    const { stdout } = await penstock(['get', 'lb', 'web', '-o', 'wide']);
    expect(stdout).toContain('machines         2   vm-1=10.0.0.4 vm-2=10.0.0.5\n');
    expect(stdout).toContain('[fd00::1]:500-1499/tcp   pool machines, port 22\n');
    expect(stdout).toContain(
      'http                  [fd00::1]:80/tcp   pool machines, port 8080         5   2.9 KiB       1\n',
    );
    expect(stdout).toContain('machines        vm-1     10.0.0.4         4   1.0 KiB       2\n');
    expect(stdout).toContain(
      'RULE WITH LIMITS   KIND             REFUSED CLIENTS   OVER RATE   OVER CONCURRENCY\n' +
        'http               load-balancing                 3       1,200                  0\n' +
        'ssh                inbound NAT                    0           0                  7\n',
    );
  });

  it('says when there are none, or not this one', async () => {
    expect((await penstock(['get', 'lb'])).stdout).toBe('no load balancers\n');
    expect((await penstock(['get', 'lb', '-o', 'json'])).stdout).toBe(
      '{\n  "revision": "1",\n  "loadBalancers": []\n}\n',
    );
    expect(await penstock(['get', 'lb', 'web'])).toMatchObject({
      code: 1,
      stderr: 'error: NOT_FOUND: there is no load balancer web\n`penstock get lb` lists them\n',
    });
  });
});

describe('get mappings', () => {
  it('prints a table', async () => {
    gateway.mappingChunks = [
      { revision: 1, mappings: [mapping] },
      { revision: 1, mappings: [{ ...mapping, frontendAddress: 'fd00::1', member: '', backendAddress: '' }] },
    ];
    expect((await penstock(['get', 'mappings'])).stdout).toBe(
      'LOAD BALANCER   RULE   FRONTEND               MEMBER   BACKEND\n' +
        'web             ssh    203.0.113.10:500/tcp   vm-1     10.0.0.4:22\n' +
        'web             ssh    [fd00::1]:500/tcp      -        -\n',
    );
    expect(gateway.mappingFilters[0]?.skipCounters).toBe(true);
  });

  it('adds times, counters and ranges when wide', async () => {
    const range = {
      loadBalancer: 'web',
      rule: 'ssh',
      backendPool: 'machines',
      frontendPortRangeStart: 500,
      frontendPortRangeEnd: 1499,
      capacity: 1000,
      used: 1,
      free: 999,
      nextPort: 501,
    };
    gateway.mappingChunks = [{ revision: 1, mappings: [mapping], ranges: [range] }];
    expect((await penstock(['get', 'mappings', '-o', 'wide'])).stdout).toBe(
      'LOAD BALANCER   RULE   FRONTEND               MEMBER   BACKEND       SINCE                  PACKETS   TRAFFIC   FLOWS\n' +
        'web             ssh    203.0.113.10:500/tcp   vm-1     10.0.0.4:22   2026-01-01T00:00:00Z     1,234   2.0 KiB       7\n' +
        '\n' +
        'LOAD BALANCER   RULE   POOL       RANGE      CAPACITY   USED   FREE   NEXT PORT\n' +
        'web             ssh    machines   500-1499      1,000      1    999         501\n',
    );
  });

  it.each([
    [['--lb', 'web', '--rule', 'ssh', '--pool', 'p'], { loadBalancer: 'web', rule: 'ssh', backendPool: 'p' }],
    [['--member', 'vm-1'], { member: 'vm-1' }],
    [['--member-address', '10.0.0.4'], { memberAddress: '10.0.0.4' }],
    [['--frontend', '203.0.113.10:500'], { frontendAddress: '203.0.113.10', frontendPort: 500 }],
    [['--frontend', '[fd00::1]:500'], { frontendAddress: 'fd00::1', frontendPort: 500 }],
    [['--frontend', 'fd00::1', '--port', '9'], { frontendAddress: 'fd00::1', frontendPort: 9 }],
  ])('asks with %j', async (args, expected) => {
    expect((await penstock(['get', 'mappings', ...args])).code).toBe(0);
    expect(gateway.mappingFilters[0]).toMatchObject(expected);
  });

  it.each([
    [['--frontend', 'web']],
    [['--frontend', '10.0.0.1:0']],
    [['--frontend', '10.0.0.1:5', '--port', '6']],
    [['--port', '65536']],
    [['-o', 'xml']],
    [['--no-such']],
    [['one-too-many']],
  ])('does not take %j', async (args) => {
    const { code, stderr } = await penstock(['get', 'mappings', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: /);
  });

  it('gives one object in every structured format, over all chunks', async () => {
    gateway.mappingChunks = [
      { revision: 9, mappings: [mapping], ranges: [{ rule: 'ssh', capacity: 5 }] },
      { revision: 9, mappings: [{ ...mapping, frontendPort: 501 }] },
    ];
    const json: unknown = JSON.parse((await penstock(['get', 'mappings', '-o', 'json'])).stdout);
    expect(json).toMatchObject({
      revision: '9',
      mappings: [{ frontendPort: 500 }, { frontendPort: 501 }],
      ranges: [{ rule: 'ssh', capacity: 5 }],
    });
    const { parse } = await import('yaml');
    expect(parse((await penstock(['get', 'mappings', '-o', 'yaml'])).stdout)).toEqual(json);
  });

  it('says when there are none', async () => {
    expect((await penstock(['get', 'mappings'])).stdout).toBe('no mappings\n');
    expect(JSON.parse((await penstock(['get', 'mappings', '-o', 'json'])).stdout)).toEqual({
      revision: '1',
      mappings: [],
    });
  });
});

describe('diff', () => {
  const same = {
    ...declared,
    frontends: [{ name: 'public', address: 'FD00:0::1' }],
    backendPools: [{ name: 'machines', members: [{ id: 'vm-1', address: '10.0.0.4', pins: { ssh: 501 } }] }],
    inboundNatRules: [
      { ...declared.inboundNatRules[1], protocol: 'udp' },
      {
        name: 'ssh',
        frontend: 'public',
        protocol: 'TCP',
        backendPort: 22,
        pool: { backendPool: 'machines', frontendPortRangeStart: 500, maximumMachines: 1000 },
      },
    ],
    loadBalancingRules: [
      {
        ...declared.loadBalancingRules[0],
        drainPeriod: '1m30.5s',
        limits: { allowedClients: ['FD00:0::/8'], newFlowsPerSecond: 10, concurrentFlows: 5 },
      },
    ],
  };

  it('ends with 0 when only the words differ', async () => {
    gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared] }];
    expect(await penstock(['diff', '-f', '-'], JSON.stringify(same))).toEqual({
      code: 0,
      stdout: 'no differences\n',
      stderr: '',
    });
    expect(gateway.applied).toEqual([]);
  });

  it('takes an id that is left out for the address', async () => {
    gateway.loadBalancerChunks = [
      {
        loadBalancers: [
          { name: 'a', backendPools: [{ name: 'p', members: [{ id: 'fd00::5', address: 'fd00::5' }] }] },
        ],
      },
    ];
    const { code } = await penstock(
      ['diff', '-f', '-'],
      'name: a\nbackendPools: [{name: p, members: [{address: "FD00::5"}]}]',
    );
    expect(code).toBe(0);
  });

  it('ends with 1, the fields, and what applying would do', async () => {
    gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared, { name: 'old' }] }];
    gateway.answer = { revision: 5, plan: { released: [mapping], releasedTotal: 1, entriesDeleted: 1 } };
    const changed = {
      ...same,
      backendPools: [
        {
          name: 'machines',
          members: [{ id: 'vm-1', address: '10.0.0.9', weight: 5 }, { address: '10.0.0.7' }],
        },
      ],
      loadBalancingRules: [],
    };
    const text = JSON.stringify([changed, { name: 'new' }]);
    const { code, stdout } = await penstock(['diff', '-f', '-', '--replace'], text);
    expect(code).toBe(1);
    expect(stdout).toBe(
      'web\n' +
        '- backendPools[machines].members[vm-1].address: 10.0.0.4\n' +
        '+ backendPools[machines].members[vm-1].address: 10.0.0.9\n' +
        '- backendPools[machines].members[vm-1].pins: { ssh: 501 }\n' +
        '+ backendPools[machines].members[vm-1].weight: 5\n' +
        '+ backendPools[machines].members[10.0.0.7]: { id: 10.0.0.7, address: 10.0.0.7 }\n' +
        '- loadBalancingRules[http]: { name: http, frontend: public, protocol: PROTOCOL_TCP, frontendPort: 80, backendPort: 8080, backendPool: machines, sessionPersistence: SESSION_PERSISTENCE_CLIENT_IP, drainPeriod: 90.500s, limits: { allowedClients: [fd00::/8], newFlowsPerSecond: 10, concurrentFlows: 5 } }\n' +
        '+ new: not on the gateway yet\n' +
        '- old: not in the file\n' +
        '- web/ssh: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:22)\n' +
        'dry run at revision 5, nothing was changed: 0 ports new, 1 released, 0 remapped; 0 entries added, 0 replaced, 1 deleted\n',
    );
    expect(gateway.replaced[0]?.at(-1)?.commit.validateOnly).toBe(true);
  });

  it('ends with 2 for every error', async () => {
    expect((await penstock(['diff', '-f', '-'], 'nam: a')).code).toBe(2);
    expect((await penstock(['diff', '-f', '-', '--address', 'unix:/nonexistent'], 'name: a')).code).toBe(2);
    expect((await penstock(['diff'])).code).toBe(2);
    gateway.refusals = [refusal('FIELD_REQUIRED', 'no')];
    expect((await penstock(['diff', '-f', '-'], 'name: a')).code).toBe(2);
  });
});

describe('delete', () => {
  it('deletes by name and by file, each once', async () => {
    expect((await penstock(['delete', 'lb', 'a', 'b', '-f', '-'], 'name: b\n---\nname: c')).code).toBe(0);
    expect(gateway.applied[0]?.changes.deleteLoadBalancers).toEqual(['a', 'b', 'c']);
  });

  it.each([[['lb']], [['pool', 'a']], [[]]])('does not take %j', async (args) => {
    expect((await penstock(['delete', ...args])).code).toBe(2);
  });
});

describe('member', () => {
  it('adds machines with the address as id where none is given', async () => {
    expect(
      (await penstock(['member', 'add', 'web', 'p', 'vm-9=10.0.0.9', 'fd00::9', '--weight', '7'])).code,
    ).toBe(0);
    expect(gateway.applied[0]?.changes.putMembers).toMatchObject([
      {
        loadBalancer: 'web',
        backendPool: 'p',
        members: [
          { id: 'vm-9', address: '10.0.0.9', weight: 7 },
          { id: 'fd00::9', address: 'fd00::9', weight: 7 },
        ],
      },
    ]);
    expect(gateway.applied[0]?.allowRemap).toBe(false);
    const [machine, leave] = ['10.0.0.9', '--allow-remap'];
    expect((await penstock(['member', 'add', 'web', 'p', machine, leave])).code).toBe(0);
    expect(gateway.applied[1]?.allowRemap).toBe(true);
  });

  it('keeps what an update does not name, and looks again when somebody else was faster', async () => {
    gateway.loadBalancerChunks = [{ revision: 5, loadBalancers: [declared] }];
    gateway.refusals = [refusal('STALE_REVISION', 'too late')];
    const args = [
      'member',
      'add',
      'web',
      'machines',
      'vm-1=10.0.0.4',
      '--admin-state',
      'drain',
      '--pin',
      'rdp=700',
    ];
    expect((await penstock(args)).code).toBe(0);
    expect(gateway.applied).toHaveLength(2);
    expect(gateway.applied[1]).toMatchObject({
      expectedRevision: 5,
      changes: { putMembers: [{ members: [{ weight: 1, adminState: 4, pins: { ssh: 501, rdp: 700 } }] }] },
    });
  });

  it.each([
    [['vm-1']],
    [['=10.0.0.4']],
    [['10.0.0.4', '10.0.0.5', '--pin', 'ssh=500']],
    [['10.0.0.4', '--pin', 'ssh']],
    [['10.0.0.4', '--weight', '0']],
    [['10.0.0.4', '--admin-state', 'SIDEWAYS']],
  ])('does not add %j', async (args) => {
    expect((await penstock(['member', 'add', 'web', 'p', ...args])).code).toBe(2);
    expect(gateway.applied).toEqual([]);
  });

  it('removes by id', async () => {
    expect((await penstock(['member', 'remove', 'web', 'p', 'vm-1', 'vm-2'])).code).toBe(0);
    expect(gateway.applied[0]?.changes.deleteMembers).toMatchObject([
      { loadBalancer: 'web', backendPool: 'p', ids: ['vm-1', 'vm-2'] },
    ]);
  });
});

describe('get flows', () => {
  const flow = {
    loadBalancer: 'web',
    rule: 'http',
    direction: 1,
    protocol: 1,
    peerAddress: '198.51.100.7',
    peerPort: 40_001,
    frontendAddress: '203.0.113.10',
    frontendPort: 80,
    backendPool: 'vms',
    member: 'vm-1',
    backendAddress: '10.0.0.4',
    backendPort: 8080,
    state: 2,
    keptBy: 'conntrack',
    packets: 12,
    bytes: 2_048,
  };
  const out = { ...flow, direction: 2, member: '', state: 3, keptBy: 'xdp', packets: 0, bytes: 0 };

  it('shows who talks to whom, and passes all that narrows on', async () => {
    gateway.flowChunks = [{ flows: [flow] }, { flows: [out] }, { more: true }];
    const narrowed = [
      '--lb',
      'web',
      '--rule',
      'http',
      '--pool',
      'vms',
      '--member',
      'vm-1',
      '--peer',
      '198.51.100.7',
    ];
    const named = ['--member-address', '10.0.0.4', '--frontend', '203.0.113.10:80', '--limit', '2'];
    const { code, stdout } = await penstock(['get', 'flows', ...narrowed, ...named, '-o', 'wide']);
    expect(code).toBe(0);
    expect(gateway.flowFilters.at(-1)).toMatchObject({
      loadBalancer: 'web',
      rule: 'http',
      backendPool: 'vms',
      member: 'vm-1',
      memberAddress: '10.0.0.4',
      frontendAddress: '203.0.113.10',
      frontendPort: 80,
      peerAddress: '198.51.100.7',
      limit: 2,
    });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(lines[0]?.slice(2, 5)).toEqual(['WAY', 'PEER', 'FRONTEND']);
    expect(lines[1]?.slice(2)).toEqual([
      'IN',
      '198.51.100.7:40001',
      '203.0.113.10:80/tcp',
      'vm-1',
      '10.0.0.4:8080',
      'established',
      'conntrack',
      '12',
      '2.0 KiB',
    ]);
    expect(lines[2]?.[2]).toBe('OUT');
    expect(lines[2]?.slice(5)).toEqual(['-', '10.0.0.4:8080', 'closing', 'xdp', '-', '-']);
    expect(lines.at(-1)).toEqual(['... and more: --limit 2 was reached']);
  });

  it('gives programs the messages as they are', async () => {
    gateway.flowChunks = [{ flows: [flow] }, { more: true }];
    expect(JSON.parse((await penstock(['get', 'flows', '-o', 'json'])).stdout)).toMatchObject({
      flows: [{ state: 'FLOW_STATE_ESTABLISHED', packets: '12' }],
      more: true,
    });
    gateway.flowChunks = [{ more: false }];
    expect(JSON.parse((await penstock(['get', 'flows', '-o', 'json'])).stdout)).toEqual({ flows: [] });
    expect((await penstock(['get', 'flows'])).stdout).toBe('no flows\n');
  });

  it('asks for no more than an answer can hold', async () => {
    const { code, stderr } = await penstock(['get', 'flows', '--limit', '100001']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('1 to 100000')]);
  });
});

describe('get outbound', () => {
  const member = {
    loadBalancer: 'web',
    rule: 'out',
    backendPool: 'vms',
    member: 'vm-1',
    backendAddress: '10.0.0.4',
    protocol: 3,
    frontendAddress: '203.0.113.10',
    firstPort: 64_512,
    lastPort: 65_535,
    assigned: { seconds: 1_767_225_600 },
    flows: 1_200,
    used: 900,
    level: 2,
    busiest: '198.51.100.7:443/tcp',
  };
  const idle = { ...member, member: 'vm-2', flows: 0, used: 0, level: 1, busiest: '' };

  it('shows ports and how many are in use, and passes all that narrows on', async () => {
    gateway.outboundChunks = [
      { revision: 1, members: [member] },
      { revision: 1, members: [idle] },
    ];
    const narrowed = ['--lb', 'web', '--rule', 'out', '--member', 'vm-1', '--member-address', '10.0.0.4'];
    const { code, stdout } = await penstock([
      'get',
      'outbound',
      ...narrowed,
      '--frontend',
      '203.0.113.10',
      '-o',
      'wide',
    ]);
    expect(code).toBe(0);
    expect(gateway.outboundFilters.at(-1)).toMatchObject({
      loadBalancer: 'web',
      rule: 'out',
      member: 'vm-1',
      memberAddress: '10.0.0.4',
      frontendAddress: '203.0.113.10',
    });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(lines[1]?.slice(2)).toEqual([
      'vm-1',
      '10.0.0.4',
      '203.0.113.10:64512-65535/all',
      '1,200',
      '900 of 1,024',
      'low',
      '198.51.100.7:443/tcp',
      '2026-01-01T00:00:00Z',
    ]);
    expect(lines[2]?.slice(5, 9)).toEqual(['0', '0 of 1,024', 'normal', '-']);
  });

  it('gives programs the messages as they are', async () => {
    gateway.outboundChunks = [{ revision: 1, members: [member] }];
    expect(JSON.parse((await penstock(['get', 'outbound', '-o', 'json'])).stdout)).toMatchObject({
      revision: '1',
      members: [{ firstPort: 64_512, level: 'OUTBOUND_LEVEL_LOW' }],
    });
    gateway.outboundChunks = [{ revision: 1 }];
    expect((await penstock(['get', 'outbound'])).stdout).toBe('no outbound ports\n');
  });

  it('is told by watch, counted by status and apply, and declared by get load-balancers', async () => {
    gateway.events = [{ revision: 1, time: { seconds: 0 }, outboundPorts: member }];
    expect((await penstock(['watch'])).stdout).toContain(
      'web/out: vm-1 uses 900 of its 1,024 ports towards 198.51.100.7:443/tcp: low',
    );
    gateway.status = { outboundRules: 3 };
    expect((await penstock(['status'])).stdout).toContain('0 load balancing, 3 outbound');
    const rule = { name: 'out', frontends: ['fe', 'fe2'], protocol: 1, backendPool: 'vms' };
    gateway.loadBalancerChunks = [
      {
        revision: 1,
        loadBalancers: [
          { name: 'web', frontends: [{ name: 'fe', address: '203.0.113.10' }], outboundRules: [rule] },
        ],
      },
    ];
    expect((await penstock(['get', 'load-balancers', 'web'])).stdout).toMatch(
      /out +203\.0\.113\.10, fe2 +pool vms, tcp +by the pool’s size/,
    );
  });
});

describe('get health', () => {
  const up = {
    loadBalancer: 'web',
    rule: 'http',
    member: 'vm-1',
    backendAddress: '10.0.0.4',
    eligible: true,
  };
  const down = { ...up, member: 'vm-2', backendAddress: '10.0.0.5', eligible: false };
  const members = [
    { ...up, reason: 'Up_Probe_Success', since: { seconds: 1_767_225_600 } },
    {
      ...down,
      reason: 'Down_Probe_HttpStatusCodeError',
      since: { seconds: 1_767_225_600 },
      detail: 'status 503',
      flapping: true,
    },
    { ...down, member: 'vm-3', reason: 'NA' },
  ];

  it('says who gets new flows, and why others do not', async () => {
    gateway.healthChunks = [{ members: members.slice(0, 2) }, { members: members.slice(2) }];
    const { code, stdout } = await penstock(['get', 'health', '--lb', 'web', '--rule', 'http', '-o', 'wide']);
    expect(code).toBe(0);
    expect(gateway.healthFilters.at(-1)).toMatchObject({ loadBalancer: 'web', rule: 'http' });
    const lines = stdout.split('\n').map((line) => line.split(/ {2,}/));
    expect(lines[0]).toEqual([
      'LOAD BALANCER',
      'RULE',
      'MEMBER',
      'NEW FLOWS',
      'REASON',
      'FOR',
      'LAST FAILURE',
      'FLOWS END',
      'BACKEND',
      'SINCE',
    ]);
    expect(lines[1]?.slice(0, 5)).toEqual(['web', 'http', 'vm-1', 'yes', 'Up_Probe_Success']);
    expect(lines[2]?.[4]).toBe('Down_Probe_HttpStatusCodeError (flapping)');
    expect(lines[2]?.slice(6)).toEqual(['status 503', '-', '10.0.0.5', '2026-01-01T00:00:00Z']);
    expect(lines[3]?.slice(2)).toEqual(['vm-3', 'no', 'NA', '-', '-', '-', '10.0.0.5', '-']);
  });

  it('gives programs the messages as they are', async () => {
    gateway.healthChunks = [{ members }];
    const { stdout } = await penstock(['get', 'health', '-o', 'json']);
    const { members: listed }: { members: readonly unknown[] } = JSON.parse(stdout);
    expect(listed).toHaveLength(3);
    expect(listed[1]).toMatchObject({ member: 'vm-2', flapping: true, since: '2026-01-01T00:00:00Z' });
  });

  it('says so where nothing is probed', async () => {
    gateway.healthChunks = [];
    expect((await penstock(['get', 'health'])).stdout).toBe('no probed rules, and nobody drains\n');
    expect(JSON.parse((await penstock(['get', 'health', '-o', 'json'])).stdout)).toEqual({ members: [] });
  });
});

describe('status', () => {
  it('sums up what is probed, and says when probes are late', async () => {
    gateway.status = { probes: { targets: 1_200, up: 1_190, down: 7, unknown: 3, flapping: 1 } };
    expect((await penstock(['status'])).stdout).toContain(
      'probes           1,200 targets: 1,190 up, 7 down (1 flapping), 3 not known yet\n',
    );
    gateway.status = { probes: { targets: 2, up: 2, lateness: { seconds: 1, nanos: 250_000_000 } } };
    expect((await penstock(['status'])).stdout).toContain(
      'probes           2 targets: 2 up, 0 down, up to 1.3 s late\n',
    );
  });

  it('prints facts, then warnings with what mends them', async () => {
    gateway.status = {
      version: '0.1.0',
      revision: 12,
      dataPlane: 'nftables',
      dataPlaneVersion: 'nftables v1.0.6',
      dataPlaneRevision: 11,
      portMappings: 3000,
      started: { seconds: 1_767_225_600 },
      warnings: [{ code: 'FORWARD_DROP', message: 'another table drops', remedy: 'nft delete it' }],
    };
    const { code, stdout } = await penstock(['status']);
    expect(code).toBe(0);
    expect(stdout).toContain('data plane       nftables: nftables v1.0.6\n');
    expect(stdout).toContain('revision         12 (the kernel runs 11)\n');
    expect(stdout).toContain('port mappings    3,000\n');
    expect(stdout).toContain('  FORWARD_DROP: another table drops\n    nft delete it\n');
  });

  it('shows how the data plane sits on the host, and with -o wide all that it tells', async () => {
    gateway.status = {
      dataPlane: 'xdp',
      interfaces: [
        { name: 'eth0', xdpMode: 'native', driver: 'ice', multiBuffer: true },
        { name: 'tap0', xdpMode: 'generic', driver: 'tun', reason: 'Operation not supported' },
      ],
      maps: [
        { name: 'frontends', bytes: 8192, capacity: 128, used: 32 },
        { name: 'reasons', bytes: 1024 },
      ],
      mapBytes: 9216,
      flowTable: { capacity: 262_144, used: 12, open: 3 },
      packetReasons: [
        { reason: 'forwarded', outcome: 'forwarded', packets: 1000 },
        { reason: 'fragment', outcome: 'handed-up', packets: 2 },
        { reason: 'hop-limit', outcome: 'handed-up', packets: 3 },
        { reason: 'flow-displaced', outcome: 'event', packets: 4 },
      ],
      notes: ['next hops are asked for each packet: there are policy rules'],
    };
    const { stdout } = await penstock(['status']);
    expect(stdout).toContain('interface        eth0: XDP native, ice, jumbo frames\n');
    expect(stdout).toContain('interface        tap0: XDP generic, tun (Operation not supported)\n');
    expect(stdout).toContain('flow table       12 of 262,144 flows (0.1 %), 3 open\n');
    expect(stdout).toContain('map memory       9.0 KiB in 2 maps, fullest frontends (25 %)\n');
    expect(stdout).toContain('packets          1,000 forwarded, 5 handed up, 0 routed, 0 dropped\n');
    expect(stdout).toContain(
      'note             next hops are asked for each packet: there are policy rules\n',
    );
    expect(stdout).not.toContain('hop-limit');
    const wide = (await penstock(['status', '-o', 'wide'])).stdout;
    expect(wide).toContain('map              frontends: 8.0 KiB, 32 of 128 (25 %)\n');
    expect(wide).toContain('map              reasons: 1.0 KiB\n');
    expect(wide).toContain('handed up        hop-limit: 3\n');
    expect(wide).toContain('event            flow-displaced: 4\n');
    const json: unknown = JSON.parse((await penstock(['status', '-o', 'json'])).stdout);
    expect(json).toMatchObject({
      interfaces: [
        { name: 'eth0', xdpMode: 'native', multiBuffer: true },
        { reason: 'Operation not supported' },
      ],
      flowTable: { capacity: '262144', used: '12' },
      mapBytes: '9216',
    });
  });

  it('shows control characters from elsewhere instead of sending them', async () => {
    gateway.status = { warnings: [{ code: 'X', message: '\u001b[2Jgone' }] };
    expect((await penstock(['status'])).stdout).toContain('X: \\x1b[2Jgone\n');
  });
});

describe('watch', () => {
  it('prints one object a line with -o json', async () => {
    gateway.events = [
      { revision: 1, applied: { assigned: [mapping], assignedTotal: 1 } },
      { revision: 2, warning: { code: 'X', message: 'y' } },
    ];
    const { code, stdout } = await penstock(['watch', '-o', 'json', '--lb', 'web', '--after', '3']);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { revision: '1', applied: { assigned: [{ frontendPort: 500 }] } },
      { revision: '2', warning: { code: 'X' } },
    ]);
  });

  it('prints what happened for people', async () => {
    gateway.events = [
      { revision: 1, time: { seconds: 0 }, applied: { assigned: [mapping], assignedTotal: 1 } },
    ];
    expect((await penstock(['watch'])).stdout).toBe(
      '1970-01-01T00:00:00Z  revision 1: 1 port new, 0 released, 0 remapped; 0 entries added, 0 replaced, 0 deleted\n' +
        '+ web/ssh: 203.0.113.10:500/tcp -> vm-1 (10.0.0.4:22)\n',
    );
  });
});

describe('the command', () => {
  it('says what to do when there is no agent', async () => {
    const { code, stderr } = await penstock(['status', '--address', 'unix:/nonexistent/socket']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^error: cannot reach the agent at unix:\/nonexistent\/socket: /);
    expect(stderr).toContain('is the agent running?');
    expect(stderr).toContain('PENSTOCK_ADDRESS');
  });

  it('ends with 4 when the agent fails', async () => {
    gateway.refusals = [{ ...refusal('INTERNAL', 'nft crashed'), code: 13 }];
    expect((await penstock(['apply', '-f', '-'], 'name: a')).code).toBe(4);
  });

  it.each([[['--help']], [['help']], [['apply', '--help']], [['get', '--help']], [['--version']]])(
    '%j is done well',
    async (args) => {
      const { code, stdout, stderr } = await penstock(args);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).not.toBe('');
    },
  );

  it.each([
    [['frobnicate']],
    [['get']],
    [['get', 'nothing']],
    [['apply']],
    [['--timeout', '5', 'status']],
    [['--address', 'nowhere', 'status']],
  ])('%j is wrong usage', async (args) => {
    const { code, stdout, stderr } = await penstock(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).not.toBe('');
  });

  it.each([
    [['--listen', 'tcp://192.0.2.1:7443']],
    [['--listen', 'nowhere']],
    [['--tls-cert', 'a.pem']],
    [['--dataplane', 'magic']],
    [['--interface', 'eth0']],
    [['--flow-table-size', '4096']],
    [['--flowtable', 'on']],
    [['--dataplane', 'xdp', '--flowtable', 'auto']],
    [['--dataplane', 'xdp', '--interface', 'a/b']],
    [['--dataplane', 'xdp', '--interface', 'sixteen-letters0']],
    [['--dataplane', 'xdp', '--interface', '']],
    [['--dataplane', 'xdp', '--flow-table-size', '1023']],
    [['--dataplane', 'xdp', '--flow-table-size', '16777217']],
    [['--dataplane', 'xdp', '--flow-table-size', 'many']],
  ])('agent %j does not start', async (args) => {
    expect((await penstock(['agent', ...args])).code).toBe(2);
  });

  it('paints only where colours are wanted', async () => {
    const terminal = new RecordedTerminal(true);
    gateway.mappingChunks = [{ revision: 1, mappings: [mapping] }];
    await run(['get', 'mappings', '--address', gateway.address], terminal);
    expect(terminal.stdout).toMatch(/^.\[1mLOAD BALANCER.*.\[0m\n/);
  });
});
