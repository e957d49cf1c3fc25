// What the demo's story leaves out, asked on the same machines: datagrams, and IPv6.
import type { Mapping } from '../demo/gateway.ts';
import { bad, block, command, good, heading, line, table } from '../demo/screen.ts';
import type { Site } from '../demo/site.ts';
import type { Backend } from '../lab/topology.ts';
import type { Outcome, Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';

const four = '203.0.113.20';
const six = '2001:db8:f::20';
/** An emulated network loses small datagrams under load, so that an unanswered one is asked again. */
const attempts = 10;

/** Returns whether nobody but the right machine has answered, and every port was answered. */
export async function askMore(site: Site, traffic: Traffic): Promise<boolean> {
  heading(8, 'Datagrams, and IPv6: a port for all machines, and a port for each');
  await site.put('more.yaml', declaration(site.backends));
  command('penstock apply -f more.yaml');
  block(await site.penstock(['apply', '-f', 'more.yaml']));
  const text = await site.penstock(['get', 'mappings', '--lb', 'more', '--no-counters', '-o', 'json']);
  const { mappings } = JSON.parse(text) as { readonly mappings: readonly Mapping[] };
  const names = site.backends.map(({ node }) => node);
  const own = mappings.map((mapping) => ({
    request: request(mapping.frontendAddress, mapping.frontendPort),
    expected: [mapping.member.replace(/-.*/, '')],
  }));
  const shared = [four, six].flatMap((address) =>
    Array.from({ length: names.length * 4 }, () => ({
      request: request(address, 53),
      expected: names,
    })),
  );
  const all = [...own, ...shared];
  const outcomes = await untilAnswered(
    traffic,
    all.map((each) => each.request),
  );
  const verdicts = all.map(({ expected }, index) => verdict(outcomes[index], expected));
  const rows = own.map(({ request: { address, port, scheme } }, index) => [
    `${address} ${port}`,
    scheme === 'udp' ? 'UDP' : 'TLS',
    verdicts[index] === 'right' ? good(words(outcomes[index])) : bad(words(outcomes[index])),
  ]);
  block(table([['FRONTEND', 'BY', 'ANSWERED BY'], ...rows]), 20);
  const count = (which: string): number => verdicts.filter((each) => each === which).length;
  const clean = count('right') === all.length;
  const sum = `${all.length} asked, ${count('right')} answered by the right machine, ${count('wrong')} by a wrong one, ${count('lost')} by none`;
  line(clean ? good(sum) : bad(sum));
  return clean;
}

/** Datagrams to the ports of IPv4, TLS to those of IPv6, so that each is asked each way once; port 53 by datagrams. */
function request(address: string, port: number): Request {
  const scheme = port === 53 || address === four ? 'udp' : 'https';
  return { scheme, address, port, ...(scheme === 'udp' ? { timeout: 1_000 } : {}) };
}

async function untilAnswered(traffic: Traffic, requests: readonly Request[]): Promise<readonly Outcome[]> {
  const outcomes = [...(await traffic.ask(requests, 4))];
  for (let attempt = 1; attempt < attempts; attempt += 1) {
    const open = outcomes.flatMap((outcome, index) => ('lost' in outcome ? [index] : []));
    if (open.length === 0) break;
    const again = await traffic.ask(
      open.flatMap((index) => requests[index] ?? []),
      4,
    );
    for (const [position, index] of open.entries()) {
      const outcome = again[position];
      if (outcome !== undefined) outcomes[index] = outcome;
    }
  }
  return outcomes;
}

function verdict(outcome: Outcome | undefined, expected: readonly string[]): 'right' | 'wrong' | 'lost' {
  if (outcome === undefined || 'lost' in outcome) return 'lost';
  return expected.includes(outcome.answer.machine) ? 'right' : 'wrong';
}

function words(outcome: Outcome | undefined): string {
  if (outcome === undefined || 'lost' in outcome) return `nobody (${outcome?.lost ?? 'never sent'})`;
  const { machine, address, port } = outcome.answer;
  return `${machine}, at ${address} ${port}`;
}

/** Members of different families are in pools of their own. */
export function declaration(machines: readonly Backend[]): string {
  const members = (family: 'address' | 'address6', suffix: string): string =>
    machines.map((each) => `      - { id: ${each.node}-${suffix}, address: "${each[family]}" }\n`).join('');
  return `name: more
frontends:
  - { name: four, address: ${four} }
  - { name: six, address: "${six}" }
backendPools:
  - name: four
    members:
${members('address', 'four')}  - name: six
    members:
${members('address6', 'six')}loadBalancingRules:
  - { name: dns-four, frontend: four, protocol: UDP, frontendPort: 53, backendPort: 5300, backendPool: four }
  - { name: dns-six, frontend: six, protocol: UDP, frontendPort: 53, backendPort: 5300, backendPool: six }
inboundNatRules:
  - { name: echo, frontend: four, protocol: UDP, backendPort: 5301,
      pool: { backendPool: four, frontendPortRangeStart: 5000, maximumMachines: 100 } }
  - { name: tls, frontend: six, protocol: TCP, backendPort: 443,
      pool: { backendPool: six, frontendPortRangeStart: 6000, maximumMachines: 100 } }
`;
}
