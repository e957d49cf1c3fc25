// What files may say, and what is said about files that are wrong.
import { describe, expect, it } from 'vitest';
import { locate, parseFile } from './read.ts';

function only(text: string) {
  const { declared, mistakes } = parseFile('f', text);
  expect(mistakes).toEqual([]);
  return declared.map(({ message }) => message);
}

const whole = `
name: web
frontends:
  - { name: public, address: 203.0.113.10, addressOwnership: external }
backend_pools:
  - name: machines
    members:
      - { id: vm-1, address: 10.0.0.4, weight: 3, admin_state: drain, pins: { ssh: 501 } }
      - address: fd00::5
inboundNatRules:
  - name: ssh
    frontend: public
    protocol: tcp
    backendPort: "22"
    pool: { backendPool: machines, frontendPortRangeStart: 500, maximumMachines: 1000 }
    flow: { idleTimeout: 1h30m, tcpReset: true, sourceNat: SOURCE_NAT_MASQUERADE }
loadBalancingRules:
  - name: all
    frontend: public
    protocol: PROTOCOL_ALL
    sessionPersistence: client-ip
    drainPeriod: 0.25s
`;

const wholeMessage = {
  name: 'web',
  frontends: [{ name: 'public', address: '203.0.113.10', addressOwnership: 2 }],
  backendPools: [
    {
      name: 'machines',
      members: [
        { id: 'vm-1', address: '10.0.0.4', weight: 3, adminState: 4, pins: { ssh: 501 } },
        { address: 'fd00::5' },
      ],
    },
  ],
  inboundNatRules: [
    {
      name: 'ssh',
      frontend: 'public',
      protocol: 1,
      backendPort: 22,
      pool: { backendPool: 'machines', frontendPortRangeStart: 500, maximumMachines: 1000 },
      flow: { idleTimeout: { seconds: 5400, nanos: 0 }, tcpReset: true, sourceNat: 2 },
    },
  ],
  loadBalancingRules: [
    {
      name: 'all',
      frontend: 'public',
      protocol: 3,
      sessionPersistence: 2,
      drainPeriod: { seconds: 0, nanos: 250_000_000 },
    },
  ],
};

describe('a file', () => {
  it('may hold one load balancer', () => {
    expect(only(whole)).toEqual([wholeMessage]);
  });

  it('may be JSON, with the same meaning', () => {
    const json = JSON.stringify(
      { ...wholeMessage, inboundNatRules: [], loadBalancingRules: [] },
      undefined,
      2,
    );
    expect(only(json)).toEqual([{ ...wholeMessage, inboundNatRules: [], loadBalancingRules: [] }]);
  });

  it.each([
    ['several documents', 'name: a\n---\nname: b\n---\n'],
    ['a list', '- name: a\n- name: b\n'],
    ['an object with loadBalancers', 'loadBalancers: [{name: a}, {name: b}]'],
    ['what `get lb -o yaml` writes', 'revision: "7"\nload_balancers:\n- name: a\n- name: b\n'],
    ['JSON values one after the other', '{"name":"a"}\n{"name":"b"}'],
    ['JSON with a comment, which is YAML', '[{"name":"a"}, {"name":"b"}] # two'],
    ['documents of several kinds', 'name: a\n---\n- name: b\n'],
  ])('may hold %s', (_kind, text) => {
    expect(only(text)).toEqual([{ name: 'a' }, { name: 'b' }]);
  });

  it('may use anchors', () => {
    const text = 'name: a\nprobes:\n- &p {name: x, port: 1}\n- *p\n';
    expect(only(text)).toEqual([
      {
        name: 'a',
        probes: [
          { name: 'x', port: 1 },
          { name: 'x', port: 1 },
        ],
      },
    ]);
  });

  it('may say nothing about a field with null', () => {
    expect(only('name: a\nfrontends:\nprobes: null')).toEqual([{ name: 'a' }]);
  });

  it('may mean no load balancers at all, if it says so', () => {
    expect(only('loadBalancers: []')).toEqual([]);
  });

  it('keeps names that look like numbers in pins', () => {
    expect(only('backendPools: [{members: [{pins: {007: 501}}]}]')).toEqual([
      { backendPools: [{ members: [{ pins: { '007': 501 } }] }] },
    ]);
  });
});

const pool = (lines: string): string => `name: a\ninboundNatRules:\n- name: r\n  pool:\n${lines}`;

/** Description, file, and each expected mistake as `line path: text`. */
const wrong: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a misspelt field',
    'name: a\nprobes:\n- nmae: p\n',
    ['3 probes[0].nmae: unknown field; did you mean name?'],
  ],
  [
    'a misspelt field in snake case',
    'inboundNatRules:\n- single: { frontend_prot: 5 }\n',
    ['2 inboundNatRules[0].single.frontend_prot: unknown field; did you mean frontendPort?'],
  ],
  [
    'a field of another API',
    'name: a\nkind: LoadBalancer\n',
    [
      '2 kind: unknown field; the fields of LoadBalancer are name, frontends, backendPools, probes, inboundNatRules, loadBalancingRules, outboundRules',
    ],
  ],
  [
    'zeros that would be taken for the contrary',
    'inboundNatRules:\n- limits:\n    allowedClients: []\n    concurrentFlows: 0\nbackendPools:\n- members:\n  - weight: 0\n',
    [
      '3 inboundNatRules[0].limits.allowedClients: an empty list would be taken for "every client"; leave the field out if that is meant',
      '4 inboundNatRules[0].limits.concurrentFlows: 0 would be taken for "any number"; leave the field out if that is meant',
      '7 backendPools[0].members[0].weight: 0 would be taken for "1"; leave the field out if that is meant',
    ],
  ],
  [
    'all mistakes at once',
    'nam: a\nfrontend: []\nprobes: 5\n',
    [
      '1 nam: unknown field; did you mean name?',
      '2 frontend: unknown field; did you mean frontends?',
      '3 probes: must be a list, and is 5',
    ],
  ],
  ['a text for a list', 'frontends: public\n', ['1 frontends: must be a list, and is the text "public"']],
  ['an object for a list', 'frontends: {name: p}\n', ['1 frontends: must be a list, and is an object']],
  [
    'a text for an object',
    'frontends:\n- public\n',
    ['2 frontends[0]: must be an object with the fields of a Frontend, and is the text "public"'],
  ],
  [
    'nothing for an object in a list',
    'frontends:\n-\n',
    ['2 frontends[0]: must be an object with the fields of a Frontend, and is nothing'],
  ],
  ['a number for a text', 'name: 5\n', ['1 name: must be a text, and is 5; put quotes around it: "5"']],
  [
    'a boolean for a text',
    'name: true\n',
    ['1 name: must be a text, and is true; put quotes around it: "true"'],
  ],
  ['a list for a text', 'name: [a]\n', ['1 name: must be a text, and is a list']],
  [
    'a text for a number',
    'probes:\n- port: http\n',
    ['2 probes[0].port: must be a whole number, and is the text "http"'],
  ],
  [
    'a fraction for a port',
    'probes:\n- port: 80.5\n',
    ['2 probes[0].port: must be a whole number, and is 80.5'],
  ],
  [
    'a list for a port',
    'probes:\n- port: [80]\n',
    ['2 probes[0].port: must be a whole number, and is a list'],
  ],
  ['a negative port', 'probes:\n- port: -1\n', ['2 probes[0].port: must be 0 to 4294967295, and is -1']],
  [
    'a number beyond 32 bits',
    'probes:\n- port: 4294967296\n',
    ['2 probes[0].port: must be 0 to 4294967295, and is 4294967296'],
  ],
  ['no number at all', 'probes:\n- port: .nan\n', ['2 probes[0].port: must be a whole number, and is NaN']],
  [
    'an unknown enum name',
    'inboundNatRules:\n- protocol: SCTP\n',
    ['2 inboundNatRules[0].protocol: must be one of TCP, UDP, ALL, and is the text "SCTP"'],
  ],
  [
    'an unknown enum number',
    'inboundNatRules:\n- protocol: 6\n',
    ['2 inboundNatRules[0].protocol: must be one of TCP, UDP, ALL, and is 6'],
  ],
  [
    'an enum value of another enum',
    'inboundNatRules:\n- protocol: PROBE_PROTOCOL_TCP\n',
    ['2 inboundNatRules[0].protocol: must be one of TCP, UDP, ALL, and is the text "PROBE_PROTOCOL_TCP"'],
  ],
  [
    'a list for an enum',
    'inboundNatRules:\n- protocol: [TCP, UDP]\n',
    ['2 inboundNatRules[0].protocol: must be one of TCP, UDP, ALL, and is a list'],
  ],
  [
    'yes for a boolean',
    'probes:\n- verifyCertificate: yes\n',
    ['2 probes[0].verifyCertificate: must be true or false, and is the text "yes"'],
  ],
  [
    'a duration without unit',
    'probes:\n- interval: 5\n',
    [
      '2 probes[0].interval: must be a duration such as 240s, 4m or 1h30m, and is 5; a unit is missing, as in 5s',
    ],
  ],
  [
    'a duration in other words',
    'probes:\n- interval: 5 minutes\n',
    ['2 probes[0].interval: must be a duration such as 240s, 4m or 1h30m, and is the text "5 minutes"'],
  ],
  [
    'a negative duration',
    'probes:\n- interval: -5s\n',
    ['2 probes[0].interval: must be a duration such as 240s, 4m or 1h30m, and is the text "-5s"'],
  ],
  [
    'a duration as an object',
    'probes:\n- interval: { seconds: 5 }\n',
    ['2 probes[0].interval: must be a duration such as 240s, 4m or 1h30m, and is an object'],
  ],
  [
    'both kinds of a rule',
    'inboundNatRules:\n- single: {}\n  pool: {}\n',
    ['3 inboundNatRules[0].pool: excludes single; give one of the two'],
  ],
  [
    'both sizes of a range',
    pool('    frontendPortRangeEnd: 600\n    maximumMachines: 100\n'),
    ['6 inboundNatRules[0].pool.maximumMachines: excludes frontendPortRangeEnd; give one of the two'],
  ],
  ['a key twice', 'name: a\nname: b\n', ['2 name: this key stands twice']],
  [
    'a key twice, deep down',
    pool('    backendPool: p\n    backendPool: q\n'),
    ['6 inboundNatRules[0].pool.backendPool: this key stands twice'],
  ],
  ['a key twice in JSON', '{"name": "a",\n"name": "b"}', ['2 name: this key stands twice']],
  [
    'a field in both spellings',
    'backendPools: []\nbackend_pools: []\n',
    ['2 backend_pools: stands twice, also as backendPools'],
  ],
  [
    'a pin that is no port',
    'backendPools:\n- members:\n  - pins: { ssh: high }\n',
    ['3 backendPools[0].members[0].pins.ssh: must be a whole number, and is the text "high"'],
  ],
  [
    'pins as a list',
    'backendPools:\n- members:\n  - pins: [500]\n',
    ['3 backendPools[0].members[0].pins: must be an object, and is a list'],
  ],
  ['no document', '', ['1 the file is empty; to mean no load balancers, write loadBalancers: []']],
  [
    'only a comment',
    '# later\n',
    ['1 the file is empty; to mean no load balancers, write loadBalancers: []'],
  ],
  [
    'a plain text',
    'hello\n',
    ['1 must be an object with the fields of a LoadBalancer, and is the text "hello"'],
  ],
  [
    'a list of names',
    '- web\n',
    ['1 [0]: must be an object with the fields of a LoadBalancer, and is the text "web"'],
  ],
  [
    'loadBalancers without a list',
    'loadBalancers:\n',
    ['1 loadBalancers: must be a list of load balancers; to mean none, write []'],
  ],
  [
    'loadBalancers misspelt',
    'loadBalancer:\n- name: a\n',
    ['1 loadBalancer: unknown field; did you mean loadBalancers?'],
  ],
  [
    'a field beside loadBalancers',
    'loadBalancers:\n- name: a\nfrontends: []\n',
    [
      '3 frontends: unknown field; the fields of ListLoadBalancersResponse are revision, loadBalancers, ruleCounters, memberCounters, limitCounters',
    ],
  ],
  ['an alias to nothing', 'name: *gone\n', ['1 name: *gone names no anchor above it']],
  ['an unknown tag', 'name: !secret a\n', ['1 Unresolved tag: !secret']],
];

describe('a wrong file', () => {
  it.each(wrong)('%s', (_description, text, expected) => {
    const { mistakes } = parseFile('f', text);
    expect(
      mistakes.map(({ line, path, text }) => `${line} ${path === '' ? '' : `${path}: `}${text}`),
    ).toEqual(expected);
  });

  it.each([
    ['tabs', 'name: a\nprobes:\n\t- name: b\n', 3],
    ['an unclosed bracket', 'name: a\nprobes: [\n', 3],
    ['an unclosed quote', 'name: "a\n', 2],
    ['a key without colon', 'name: a\nprobes\n', 2],
    ['broken JSON', '{"name": "a",\n "probes": [}', 2],
  ])('syntax: %s', (_description, text, line) => {
    const { mistakes } = parseFile('f', text);
    expect(mistakes[0]).toMatchObject({ line, path: '' });
    expect(mistakes[0]?.text).not.toBe('');
  });

  it('does not blow up with aliases', () => {
    const levels = Array.from({ length: 12 }, (_, level) =>
      level === 0
        ? '- &a0 [x, x, x, x, x, x, x, x]'
        : `- &a${level} [${Array(8)
            .fill(`*a${level - 1}`)
            .join(', ')}]`,
    );
    const { mistakes } = parseFile('f', `${levels.join('\n')}\n`);
    expect(mistakes.some(({ text }) => text === 'the aliases expand to too much')).toBe(true);
  });
});

describe('locate', () => {
  it('finds the line of a field that the agent names', () => {
    const [declared] = parseFile('f', whole).declared;
    if (declared === undefined) throw new Error('not read');
    expect(locate(declared, 'frontends[0].address')).toBe(4);
    expect(locate(declared, 'backend_pools[0].members[1].address')).toBe(9);
    expect(locate(declared, 'inbound_nat_rules[0].pool.frontend_port_range_end')).toBe(15);
    expect(locate(declared, 'outbound_rules[4]')).toBe(2);
  });
});
