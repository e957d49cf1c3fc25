// Which flows the kernel loses when some are ended, both ways. The flows are made and listed by conntrack-tools. Needs root.
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findKernel } from '../../../test/vm/kernels.ts';
import { ringNumber } from '../../forwarding/ring-numbers.ts';
import { type NetlinkSocket, openNetlinkSocket } from '../netlink/socket.ts';
import { flowMarks } from '../nftables/plane.ts';
import { ownNetwork } from '../nftables/testing/lab.ts';
import { address, endpoint } from '../nftables/testing/tables.ts';
import type { Connection } from '../reset/connection.ts';
import { type FlowDeletion, flowsOver } from './flows.ts';
import { type FlowSelection, hex } from './selection.ts';

interface Family {
  readonly client: string;
  readonly front: string;
  readonly other: string;
  readonly machine: string;
  readonly another: string;
  /** An address beside a port, as conntrack-tools want it. */
  readonly host: (address: string) => string;
}

const families: readonly (readonly [string, Family])[] = [
  [
    'IPv4',
    {
      client: '10.0.0.2',
      front: '203.0.113.1',
      other: '203.0.113.2',
      machine: '10.1.0.1',
      another: '10.1.0.2',
      host: (text) => text,
    },
  ],
  [
    'IPv6',
    {
      client: 'fd00::2',
      front: '2001:db8:f::1',
      other: '2001:db8:f::2',
      machine: 'fd01::1',
      another: 'fd01::2',
      host: (text) => `[${text}]`,
    },
  ],
];
const ways: readonly FlowDeletion[] = ['by-filter', 'one-by-one'];

interface Made {
  readonly to: string;
  readonly port: number;
  readonly transport?: 'tcp' | 'udp';
  /** Absent where the flow is not translated. */
  readonly backend?: string;
  readonly mark?: number;
  readonly zone?: number;
  /** Default: established. */
  readonly state?: string;
}

let socket: NetlinkSocket;
beforeAll(async () => {
  ownNetwork();
  socket = await openNetlinkSocket();
});
afterAll(() => {
  socket?.close();
});

/** Puts these flows in the place of all; those of a family come from one client, and tell themselves by its port. */
async function make({ client, host }: Family, flows: readonly Made[]): Promise<void> {
  const lines = flows.map(
    ({ to, port, transport = 'udp', backend, mark = 0, zone, state = 'ESTABLISHED' }, index) =>
      [
        `-I -p ${transport} -s ${client} -d ${to} --sport ${1000 + index} --dport ${port} -t 600 -m ${mark}`,
        ...(transport === 'tcp' ? [`--state ${state}`] : []),
        ...(backend === undefined ? [] : [`--dst-nat ${host(backend)}:8080`]),
        ...(zone === undefined ? [] : [`-w ${zone}`]),
      ].join(' '),
  );
  await execa('conntrack', ['-F']);
  // By a pipe of a shell: it opens its input by name, which Node's, a socket, does not allow.
  await execa('sh', ['-c', 'cat | conntrack -R -'], { input: `${lines.join('\n')}\n` });
}

/** The indexes of those that are there. */
async function left(): Promise<readonly number[]> {
  const { stdout } = await execa('conntrack', ['-L']);
  return [...stdout.matchAll(/^.*? sport=(\d+) /gm)]
    .map(([, port]) => Number(port) - 1000)
    .sort((a, b) => a - b);
}

describe.each(ways)('flows that are ended, %s', (most) => {
  describe.each(families)('in %s', (_, family) => {
    const { front, other, machine, another } = family;
    const { nat, natAnyPort, balanced, balancedAnyPort } = flowMarks;
    const ring = ringNumber(1, 7);
    const all = {
      nat: { to: front, port: 501, backend: machine, mark: nat },
      'its twin in a zone': { to: front, port: 501, backend: machine, mark: nat, zone: 5 },
      'without its mark': { to: front, port: 501, backend: machine },
      tcp: { to: front, port: 501, transport: 'tcp', backend: machine, mark: nat },
      'to another machine': { to: front, port: 501, backend: another, mark: nat },
      'by another port': { to: front, port: 502, backend: machine, mark: nat },
      'by another frontend': { to: other, port: 501, backend: machine, mark: nat },
      'every port': { to: front, port: 501, backend: machine, mark: natAnyPort },
      balanced: { to: front, port: 501, backend: machine, mark: balanced + ring },
      'balanced by affinity': { to: front, port: 501, backend: machine, mark: balanced + 2 ** 24 + ring },
      'balanced tcp': { to: other, port: 80, transport: 'tcp', backend: machine, mark: balanced + ring },
      'balanced on every port': { to: front, port: 501, backend: machine, mark: balancedAnyPort + ring },
      'of another pool': { to: front, port: 80, backend: machine, mark: balanced + ringNumber(2, 7) },
      'to another member': { to: front, port: 80, backend: another, mark: balanced + ring },
      knocking: { to: front, port: 501 },
      'knocking elsewhere': { to: front, port: 502 },
      foreign: { to: front, port: 501, backend: another, mark: 0x1234 },
    } as const satisfies Record<string, Made>;
    const made: readonly Made[] = Object.values(all);
    const at = endpoint(front, 'udp', 501);
    const every = endpoint(front, 'udp', 0);
    const backend = address(machine);

    const cases: readonly (readonly [string, readonly FlowSelection[], readonly (keyof typeof all)[]])[] = [
      [
        'NAT by one port',
        [{ kind: 'nat', endpoint: at, backend }],
        ['nat', 'its twin in a zone', 'without its mark'],
      ],
      ['NAT by every port', [{ kind: 'nat', endpoint: every, backend }], ['every port']],
      [
        'an endpoint',
        [{ kind: 'endpoint', endpoint: at }],
        ['nat', 'its twin in a zone', 'to another machine', 'balanced', 'balanced by affinity'],
      ],
      [
        'an endpoint of every port',
        [{ kind: 'endpoint', endpoint: every }],
        ['every port', 'balanced on every port'],
      ],
      [
        'a member',
        [{ kind: 'ring-member', ring, backend, udpOnly: false }],
        ['balanced', 'balanced by affinity', 'balanced tcp', 'balanced on every port'],
      ],
      [
        'a member, UDP only',
        [{ kind: 'ring-member', ring, backend, udpOnly: true }],
        ['balanced', 'balanced by affinity', 'balanced on every port'],
      ],
      [
        'a member of another ring of the pool, through one port',
        [{ kind: 'ring-member', ring: ringNumber(1, 8), backend, udpOnly: false, endpoints: [at] }],
        ['balanced', 'balanced by affinity'],
      ],
      [
        'a member through every port',
        [{ kind: 'ring-member', ring, backend, udpOnly: false, endpoints: [every] }],
        ['balanced on every port'],
      ],
      ['who knocked', [{ kind: 'knocking', endpoint: at }], ['knocking']],
      ['who knocked anywhere', [{ kind: 'knocking', endpoint: every }], ['knocking', 'knocking elsewhere']],
      [
        'several',
        [
          { kind: 'nat', endpoint: endpoint(front, 'tcp', 501), backend },
          { kind: 'knocking', endpoint: at },
        ],
        ['tcp', 'knocking'],
      ],
      [
        'more than there are filters for',
        Array.from({ length: 40 }, (_, index) => ({
          kind: 'nat',
          endpoint: endpoint(front, 'udp', 501 + index),
          backend,
        })),
        ['nat', 'its twin in a zone', 'without its mark', 'by another port'],
      ],
    ];

    it.each(cases)('are those of %s, and no other', async (_, selections, expected) => {
      await make(family, made);
      const flows = flowsOver(socket, flowMarks, most);
      await flows.probe();
      expect(await left()).toEqual(made.map((_, index) => index));
      await flows.end(selections);
      const there = new Set(await left());
      expect(Object.keys(all).filter((_, index) => !there.has(index))).toEqual(expected);
    });

    it('are all of ours, and no other', async () => {
      await make(family, made);
      await flowsOver(socket, flowMarks, most).endAll();
      const there = new Set(await left());
      const kept = Object.keys(all).filter((_, index) => there.has(index));
      expect(kept).toEqual(['without its mark', 'knocking', 'knocking elsewhere', 'foreign']);
    });

    it('are established connections of ours, where both ends are told, each with its ends', async () => {
      const tcp = { port: 80, transport: 'tcp', backend: machine, mark: balanced + ring } as const;
      const states = ['SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT', 'CLOSE_WAIT', 'TIME_WAIT', 'CLOSE'];
      await make(family, [
        ...states.map((state) => ({ ...tcp, to: front, state })),
        { ...tcp, to: front, mark: 0x1234 },
        { ...tcp, to: front, transport: 'udp' },
        { to: other, port: 80, transport: 'tcp', mark: balanced + ring },
      ]);
      const flows = flowsOver(socket, flowMarks, most);
      await flows.probe();
      const found: Connection[] = [];
      await flows.reset(
        () => true,
        async (connections, forget) => {
          found.push(...connections);
          expect(await left()).toHaveLength(10);
          await forget();
        },
      );
      expect(await left()).toEqual([0, 1, 3, 4, 5, 6, 7, 8, 9]);
      const ends = ({ client, frontend, machine, peer }: Connection) =>
        [client, frontend, machine, peer].map((end) => `${end.address.toString('hex')} ${end.port}`);
      expect(found.map(ends)).toEqual([
        [
          `${hex(address(family.client))} 1002`,
          `${hex(address(front))} 80`,
          `${hex(backend)} 8080`,
          `${hex(address(family.client))} 1002`,
        ],
      ]);
    });

    it('are all of many, beside as many others', async () => {
      const many = Array.from({ length: 2000 }, (_, index) => ({
        to: front,
        port: index % 2 === 0 ? 501 : 502,
        backend: machine,
        mark: nat,
      }));
      await make(family, many);
      const flows = flowsOver(socket, flowMarks, most);
      await flows.probe();
      await flows.end([{ kind: 'nat', endpoint: at, backend }]);
      expect(await left()).toEqual(many.flatMap(({ port }, index) => (port === 502 ? [index] : [])));
    });
  });

  it('end at most so', async () => {
    const deletion = await flowsOver(socket, flowMarks, most).probe();
    expect(ways.indexOf(deletion)).toBeGreaterThanOrEqual(ways.indexOf(most));
    const kernel = findKernel(process.env.PENSTOCK_VM ?? '');
    if (kernel?.promises.includes('flow-filters')) expect(deletion).toBe(most);
  });
});
