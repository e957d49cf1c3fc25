// The demo's steps, in the order in which a person would meet them. Every request counts towards the last line.
import { setTimeout as sleep } from 'node:timers/promises';
import { firstPort, frontend, rulesYaml, webYaml } from '../lab/example.ts';
import type { Lab } from '../lab/lab.ts';
import type { Backend } from '../lab/topology.ts';
import type { Outcome, Request } from '../lab/traffic/message.ts';
import type { Traffic } from '../lab/traffic/traffic.ts';
import { Gateway, type Mapping } from './gateway.ts';
import { port80, steadyLoad, throughPort } from './load.ts';
import { bad, bar, block, command, good, heading, line, table, thousands } from './screen.ts';
import type { Site } from './site.ts';

/** Milliseconds that the load runs before and after each change. */
const runUp = 1_500;

export class Story {
  readonly #site: Site;
  readonly #traffic: Traffic;
  readonly #gateway: Gateway;
  /** Of the requests outside the steady load. */
  readonly #count = { right: 0, wrong: 0, lost: 0 };
  readonly #complaints: string[] = [];

  constructor(site: Site, traffic: Traffic) {
    this.#site = site;
    this.#traffic = traffic;
    this.#gateway = new Gateway(site);
  }

  /** Returns whether every request was answered by the right machine and nothing moved. */
  async tell(): Promise<boolean> {
    await this.#declare();
    const before = await this.#askEveryPort();
    await this.#spread();
    await this.#load(before, this.#names());
    await this.#letRun();
    await this.#scaleOut();
    const leaving = this.#leaving();
    await this.#scaleIn(leaving);
    await this.#traffic.load([]);
    const unmoved = await this.#compare(before, leaving);
    if (this.#site.dataplane === 'xdp') {
      heading(7, 'Look at the data plane: where it runs, what it holds, and what became of the packets');
      await this.#gateway.showStatus();
    }
    return this.#sum() && unmoved;
  }

  async #declare(): Promise<void> {
    heading(1, 'Declare one port for all machines, and a port of its own for each machine');
    await this.#site.put('web.yaml', webYaml(this.#site.backends));
    command('tail -5 web.yaml');
    block(rulesYaml);
    await this.#gateway.show('apply', '-f', 'web.yaml');
  }

  async #askEveryPort(): Promise<readonly Mapping[]> {
    heading(2, 'Ask every mapped port over TLS: does the machine answer that the table names?');
    const mappings = await this.#gateway.mappings();
    const outcomes = await this.#ask(mappings.map(throughPort));
    const rows = mappings.map((mapping, index) => [
      `${mapping.frontendAddress}:${mapping.frontendPort}`,
      mapping.member,
      `${mapping.backendAddress}:${mapping.backendPort}`,
      this.#judge(outcomes[index], [mapping.member], mapping.backendPort),
    ]);
    command('penstock get mappings --lb web');
    block(table([['FRONTEND', 'MACHINE', 'BACKEND', 'ANSWERED BY'], ...rows]));
    return mappings;
  }

  async #spread(): Promise<void> {
    const requests = Math.max(Math.ceil(600 / this.#site.slowness), this.#site.backends.length * 20);
    heading(3, `Ask port 80 ${thousands(requests)} times: the machines share the requests`);
    const outcomes = await this.#ask(Array<typeof port80>(requests).fill(port80));
    const counts = new Map<string, number>(this.#names().map((name) => [name, 0]));
    for (const outcome of outcomes) {
      this.#judge(outcome, this.#names(), 80);
      if ('answer' in outcome) {
        counts.set(outcome.answer.machine, (counts.get(outcome.answer.machine) ?? 0) + 1);
      }
    }
    const most = Math.max(...counts.values());
    block(
      table([...counts].map(([machine, count]) => [machine, String(count).padStart(4), bar(count, most)])),
    );
  }

  async #scaleOut(): Promise<void> {
    const count = Math.min(3, Math.ceil(this.#site.backends.length / 2));
    heading(
      4,
      `Scale out by ${count} while requests run: port 80, every mapped port, and a lasting connection each`,
    );
    const added: Backend[] = [];
    for (let index = 0; index < count; index += 1) added.push(await this.#site.addBackend());
    // From the commit on they may answer, so the client has to know them before.
    await this.#load(await this.#gateway.mappings(), this.#names());
    await this.#gateway.show('member', 'add', 'web', 'machines', ...added.map(inPool));
    await this.#load(await this.#gateway.mappings(), this.#names());
    await this.#watchPort80();
  }

  #leaving(): readonly Backend[] {
    const { backends } = this.#site;
    // One from the beginning and one from the middle: where a careless numbering would shift the rest.
    return [backends[1], backends[Math.floor(backends.length / 2) + 1]].filter((each) => each !== undefined);
  }

  async #scaleIn(leaving: readonly Backend[]): Promise<void> {
    heading(5, `Scale in by ${leaving.length} while requests run: let them finish, then take them out`);
    const gone = leaving.map(({ node }) => node);
    const stays = (name: string): boolean => !gone.some((node) => node === name);
    await this.#gateway.show(
      'member',
      'add',
      'web',
      'machines',
      ...leaving.map(inPool),
      '--admin-state',
      'DRAIN',
    );
    // From here on a request to port 80 that they answer is wrong; what was sent to them before still ends well.
    const staying = (await this.#gateway.mappings()).filter(({ member }) => stays(member));
    await this.#load(staying, this.#names().filter(stays));
    block('The requests that they had have ended.');
    await this.#gateway.show('member', 'remove', 'web', 'machines', ...gone);
    for (const { node } of leaving) await this.#site.removeBackend(node);
    await this.#watchPort80();
  }

  /** Lets the load run for a while, and says who has answered on port 80 meanwhile. */
  async #watchPort80(): Promise<void> {
    const counts = (): ReadonlyMap<string, number> =>
      this.#traffic.tally().byStream.get('port 80') ?? new Map();
    const before = counts();
    await this.#letRun();
    const since = [...counts()]
      .map(([machine, count]) => [machine, count - (before.get(machine) ?? 0)] as const)
      .filter(([, count]) => count > 0)
      .toSorted(([one], [other]) => one.localeCompare(other, 'en', { numeric: true }));
    const shown = since.slice(0, 12).map(([machine, count]) => `${machine} ${count}`);
    const more = since.length > shown.length ? ` and ${since.length - shown.length} more` : '';
    block(`Port 80 is now answered by ${since.length} machines: ${shown.join(', ')}${more}`);
  }

  async #compare(before: readonly Mapping[], leaving: readonly Backend[]): Promise<boolean> {
    heading(6, 'Compare: which machine has which port, before and after');
    const after = await this.#gateway.mappings();
    const survivors = before.filter(({ member }) => !leaving.some(({ node }) => node === member));
    const moved = survivors.filter(
      ({ member, frontendPort }) =>
        after.find((mapping) => mapping.member === member)?.frontendPort !== frontendPort,
    );
    block(`before  ${portList(before)}\nafter   ${portList(after)}`);
    const freed = before.filter(
      ({ frontendPort }) => !after.some((each) => each.frontendPort === frontendPort),
    );
    const refused = await this.#traffic.ask(
      freed.map((mapping) => ({ ...throughPort(mapping), timeout: 1_000 })),
    );
    const answering = refused.filter((outcome) => 'answer' in outcome).length;
    const verdict = `${moved.length} of ${survivors.length} surviving machines moved; `;
    const closed = `${freed.map(({ frontendPort }) => frontendPort).join(' and ')} closed, free for the next machine`;
    block(verdict + (answering === 0 ? closed : bad(`${answering} freed ports still answer`)));
    return moved.length === 0 && answering === 0;
  }

  async #ask(requests: readonly Request[]): Promise<readonly Outcome[]> {
    const { slowness } = this.#site;
    return await this.#traffic.ask(requests, Math.ceil(16 / slowness));
  }

  async #load(mappings: readonly Mapping[], behind: readonly string[]): Promise<void> {
    await this.#traffic.load(steadyLoad(mappings, behind, this.#site.slowness));
  }

  /** A slow machine needs longer for as much. */
  async #letRun(): Promise<void> {
    await sleep(runUp * Math.sqrt(this.#site.slowness));
  }

  #names(): readonly string[] {
    return this.#site.backends.map(({ node }) => node);
  }

  /** Counts an outcome and says it in a few words. */
  #judge(outcome: Outcome | undefined, expected: readonly string[], port: number): string {
    if (outcome === undefined || 'lost' in outcome) {
      this.#count.lost += 1;
      this.#complaints.push(`lost: ${outcome?.lost ?? 'never sent'}`);
      return bad(`nobody (${outcome?.lost ?? 'never sent'})`);
    }
    const { machine, address, port: arrived } = outcome.answer;
    const right = expected.includes(machine) && arrived === port;
    this.#count[right ? 'right' : 'wrong'] += 1;
    const text = `${machine}, at ${address}:${arrived}`;
    if (!right) this.#complaints.push(`wrong: ${text} instead of ${expected.join(' or ')}`);
    return right ? good(text) : bad(text);
  }

  #sum(): boolean {
    const steady = this.#traffic.tally();
    const right = this.#count.right + steady.right;
    const wrong = this.#count.wrong + steady.wrong;
    const lost = this.#count.lost + steady.lost;
    const clean = wrong === 0 && lost === 0;
    line();
    block([...this.#complaints, ...steady.complaints].map(bad).join('\n'));
    const text = `${thousands(right + wrong + lost)} requests sent, ${thousands(right)} answered by the right machine, ${thousands(wrong)} by a wrong one, ${thousands(lost)} lost`;
    line(clean ? good(text) : bad(text));
    return clean;
  }
}

function inPool({ node, address }: Backend): string {
  return `${node}=${address}`;
}

function portList(mappings: readonly Mapping[]): string {
  const shown = mappings.slice(0, 12).map(({ frontendPort, member }) => `${frontendPort} ${member}`);
  return [...shown, ...(mappings.length > 12 ? [`and ${mappings.length - 12} more`] : [])].join(', ');
}

/** What works on the lab that the demo leaves behind. */
export function invitation(lab: Lab): string {
  const name = lab.name === 'lab' ? '' : ` --name ${lab.name}`;
  const exec = `scripts/lab exec${name}`;
  return `
The lab stays up. Try:

  export PENSTOCK_ADDRESS=${lab.address}
  scripts/penstock status
  scripts/penstock get mappings -o wide
  ${exec} client -- curl -s http://${frontend}/
  ${exec} client -- curl -sk https://${frontend}:${firstPort}/
  ${exec} gateway -- nft list ruleset
  scripts/lab down${name}`;
}
