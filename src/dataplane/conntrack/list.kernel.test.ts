// What is told of the flows that the kernel tracks. The flows are made by conntrack-tools. Needs root.
import { execa } from 'execa';
import { beforeAll, expect, it } from 'vitest';
import { flowMarks } from '../nftables/plane.ts';
import { ownNetwork } from '../nftables/testing/lab.ts';
import { listTracked } from './list.ts';

beforeAll(() => ownNetwork());

/** One line of `conntrack -R` each. */
async function make(lines: readonly string[]): Promise<void> {
  await execa('conntrack', ['-F']);
  await execa('sh', ['-c', 'cat | conntrack -R -'], { input: `${lines.join('\n')}\n` });
}

const front = '203.0.113.1';
const { nat, natAnyPort, balanced, outbound } = flowMarks;
const tcp = (port: number, mark: number, state = 'ESTABLISHED', more = '--dst-nat 10.1.0.1:8080') =>
  `-I -p tcp -s 10.0.0.2 -d ${front} --sport ${port} --dport 501 -t 600 -m ${mark} --state ${state} ${more}`;

const list = async (most = 100, only?: 'outbound') => {
  const { flows, more } = await listTracked(flowMarks, {
    wanted: () => true,
    most,
    ...(only && { only }),
  });
  return { flows: flows.toSorted((a, b) => a.peer.port - b.peer.port), more };
};

it('tells both ends, the state and by which class of entries a flow came', async () => {
  await make([
    tcp(1000, nat),
    tcp(1001, natAnyPort, 'SYN_RECV'),
    tcp(1002, balanced + 7, 'FIN_WAIT'),
    // Over; not ours; ours by its mark alone.
    tcp(1003, nat, 'TIME_WAIT'),
    tcp(1004, 0),
    tcp(1005, nat, 'ESTABLISHED', ''),
    `-I -p udp -s fd00::2 -d 2001:db8:f::1 --sport 1006 --dport 53 -t 60 -m ${nat} --dst-nat [fd01::1]:5300`,
    `-I -p udp -s 10.1.0.1 -d 198.51.100.7 --sport 5000 --dport 1007 -t 60 -m ${outbound + 40_000} --src-nat ${front}:40003`,
  ]);
  const { flows, more } = await list();
  expect(more).toBe(false);
  const common = { keptBy: 'conntrack', packets: 0, bytes: 0 };
  const through = {
    ...common,
    direction: 'inbound',
    transport: 'tcp',
    frontend: { address: front, port: 501 },
    machine: { address: '10.1.0.1', port: 8080 },
    anyPort: false,
  };
  const peer = (port: number) => ({ address: '10.0.0.2', port });
  expect(flows).toEqual([
    { ...through, peer: peer(1000), state: 'established' },
    { ...through, peer: peer(1001), state: 'new', anyPort: true },
    { ...through, peer: peer(1002), state: 'closing' },
    {
      ...common,
      direction: 'inbound',
      transport: 'udp',
      peer: { address: 'fd00::2', port: 1006 },
      frontend: { address: '2001:db8:f::1', port: 53 },
      machine: { address: 'fd01::1', port: 5300 },
      anyPort: false,
      state: 'new',
    },
    {
      ...common,
      direction: 'outbound',
      transport: 'udp',
      peer: { address: '198.51.100.7', port: 1007 },
      frontend: { address: front, port: 40_003 },
      machine: { address: '10.1.0.1', port: 5000 },
      anyPort: false,
      state: 'new',
    },
  ]);
  expect((await list(100, 'outbound')).flows).toHaveLength(1);
});

it('reads no further than asked for', async () => {
  await make(Array.from({ length: 3_000 }, (_, index) => tcp(1_000 + index, nat)));
  let looked = 0;
  const wanted = () => {
    looked += 1;
    return true;
  };
  const { flows, more } = await listTracked(flowMarks, { wanted, most: 10 });
  expect([flows.length, more, looked]).toEqual([10, true, 11]);
  expect((await list(3_000)).more).toBe(false);
  expect((await list(3_000)).flows).toHaveLength(3_000);
});
