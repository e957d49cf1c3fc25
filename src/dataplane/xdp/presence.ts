// On which interfaces the program runs, and what the host needs beside it there; kept true while interfaces and routes
// come and go.
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { DataPlaneUnavailable, type InterfaceReport } from '../dataplane.ts';
import { completionStands, loadCompletion, removeCompletion } from './completion.ts';
import { type Engine, markOf } from './engine.ts';
import { choosePresent, mustChoose, type Wanted } from './interfaces.ts';
import { attach } from './kernel/attach.ts';
import { type Attachment, attachments } from './kernel/attachments.ts';
import { detach } from './kernel/detach.ts';
import { detachMoved } from './kernel/detach-moved.ts';
import { gracePeriod } from './kernel/grace.ts';
import { xdpState } from './kernel/interface.ts';
import type { PinDirectory } from './kernel/pin-directory.ts';
import { machineAddresses } from './memory/machine-addresses.ts';
import type { Choice } from './network/choose.ts';
import { type FollowedNetwork, followNetwork } from './network/follow.ts';
import type { Network } from './network/model.ts';

export interface PresenceOptions {
  readonly directory: PinDirectory;
  readonly engine: Engine;
  readonly interfaces: Wanted;
  /** Whether a named interface may be missing, or have another program: for an agent that has run on all of them before. */
  readonly lenient: boolean;
  /** Lets exactly these interfaces take packets with a source address of this host. */
  readonly acceptLocalSources: (interfaces: readonly string[]) => Promise<void>;
  readonly logger: Logger;
}

type Findings = DataPlaneUnavailable['findings'];

export class Presence {
  readonly #options: PresenceOptions;
  readonly #network: FollowedNetwork;
  #passedOver: Choice['passedOver'] = [];
  /** By interface name: why the program is not there although it should be. */
  #refused = new Map<string, string>();
  /** By index: where the program was when it was last put on. */
  #held: ReadonlySet<number> = new Set();
  /** Names of interfaces that have lost it since. */
  readonly #lost = new Set<string>();
  /** The interfaces that the host was prepared for. */
  #prepared: readonly string[] | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(options: PresenceOptions, network: FollowedNetwork) {
    this.#options = options;
    this.#network = network;
  }

  /**
   * Attaches the program wherever it belongs. Throws `DataPlaneUnavailable`, unless `lenient`: an interface is not there, or
   * another program is. Then everything is as it was.
   */
  static async establish(options: PresenceOptions): Promise<Presence> {
    const { directory, engine, lenient, logger } = options;
    const { program, image } = engine;
    let presence: Presence | undefined;
    const network = await followNetwork({
      control: program.memory('control'),
      routes: program.memory('routes'),
      devices: program.memory('devices'),
      vlans: program.elements('vlans'),
      grace: gracePeriod,
      attached: () => attachments(directory),
      machines: () => machineAddresses(image.memory),
      onChange: () => {
        if (presence !== undefined) presence.#follow();
      },
      onTrouble: (error) => logger.error({ err: error }, "the host's network could not be followed"),
    });
    const before = attachments(directory);
    presence = new Presence(options, network);
    try {
      if (!lenient) mustChoose(network.network, options.interfaces);
      const refused = await presence.ensure();
      if (refused.length > 0 && !lenient) throw new DataPlaneUnavailable(refused);
      return presence;
    } catch (error) {
      await presence.close();
      if (!lenient) await withdraw(options, before);
      throw error;
    }
  }

  /** Attaches what is missing. Gives, and logs, what stands against it. */
  ensure(): Promise<Findings> {
    return this.#inTurn(async () => {
      const before = this.#refused;
      const refused = await this.#arrange();
      for (const { name, findings } of refused) {
        if (before.get(name) === this.#refused.get(name)) continue;
        this.#options.logger.warn({ findings }, `the XDP program cannot be put on ${name}`);
      }
      return refused.flatMap(({ findings }) => findings);
    });
  }

  /** The same, and puts the completing table in place again, whatever has become of it. What is lost now is known. */
  async mend(): Promise<void> {
    this.#prepared = undefined;
    await this.ensure();
    this.#lost.clear();
  }

  /** Whether an interface refused the program when it was last tried. */
  get isRefused(): boolean {
    return this.#refused.size > 0;
  }

  /** Interfaces that somebody has taken the program off since the last call. Well under a millisecond. */
  lost(): readonly string[] {
    const present = this.#running();
    const names = new Map(this.#network.network.links.map(({ index, name }) => [index, name]));
    for (const ifindex of this.#held) {
      const name = names.get(ifindex);
      if (name !== undefined && !present.has(ifindex)) this.#lost.add(name);
    }
    const lost = [...this.#lost];
    this.#lost.clear();
    return lost;
  }

  /** Whether the rules stand that route what the program has translated. Costs a process. */
  completed(): Promise<boolean> {
    return completionStands(this.#completion());
  }

  report(): { readonly interfaces: readonly InterfaceReport[]; readonly notes: readonly string[] } {
    const { directory, engine } = this.#options;
    const frags = engine.program.programs.get('penstock_frags')?.id;
    const interfaces = attachments(directory).map(
      ({ name, mode, driver, reason, program }): InterfaceReport => ({
        name,
        mode,
        driver: driver ?? '',
        reason: reason ?? '',
        program,
        multiBuffer: program === frags,
      }),
    );
    const off = [...this.#passedOver, ...[...this.#refused].map(([name, reason]) => ({ name, reason }))].map(
      ({ name, reason }): InterfaceReport => ({
        name,
        mode: 'off',
        driver: '',
        reason,
        program: 0,
        multiBuffer: false,
      }),
    );
    return { interfaces: [...interfaces, ...off], notes: this.#notes() };
  }

  /** The program stays where it is. Once this resolves, nothing is done to the host any more that was on its way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#network.close();
    await this.#last;
  }

  #notes(): readonly string[] {
    const { hops, slow, unresolved } = this.#network;
    const notes: string[] = [];
    if (!hops.remember) notes.push(`next hops are asked for with each packet: ${hops.reason ?? 'unknown'}`);
    if (hops.note !== undefined) notes.push(hops.note);
    for (const { name, reason } of slow) notes.push(`${name}: ${reason}`);
    if (unresolved.length > 0) {
      notes.push(`these neighbours do not answer: ${unresolved.join(', ')}`);
    }
    return notes;
  }

  /** After a change of the network; must not wait for the reading that tells of it. */
  #follow(): void {
    if (this.#closed) return;
    this.ensure().catch((error: unknown) => {
      if (this.#closed) return;
      this.#options.logger.error({ err: error }, 'the XDP program could not be put on the interfaces');
    });
  }

  /** Returns what could not be attached, by interface. */
  async #arrange(): Promise<readonly { readonly name: string; readonly findings: Findings }[]> {
    if (this.#closed) return [];
    const { directory, engine } = this.#options;
    const { network } = this.#network;
    const { interfaces, passedOver } = this.#chosen(network);
    this.#passedOver = passedOver;
    await this.#prepareHost(network, interfaces);
    if (this.#closed) return [];
    const before = attachments(directory);
    const wanted = new Set(interfaces.map(({ ifindex }) => ifindex));
    const ours = this.#ours();
    detachMoved(directory);
    for (const { ifindex } of before) if (!wanted.has(ifindex)) detach(directory, ifindex);
    const refused: { name: string; findings: Findings }[] = [];
    this.#refused = new Map();
    for (const { ifindex, name } of interfaces) {
      if (before.some((each) => each.ifindex === ifindex && ours.has(each.program))) continue;
      if (this.#held.has(ifindex)) this.#lost.add(name);
      try {
        if (!before.some((each) => each.ifindex === ifindex)) await untilLeft(ifindex, ours);
        attach(directory, engine.program, ifindex);
      } catch (error) {
        if (!(error instanceof DataPlaneUnavailable)) throw error;
        refused.push({ name, findings: error.findings });
        this.#refused.set(name, error.findings.map(({ message }) => message).join('; '));
      }
    }
    if (!same(before, attachments(directory))) await this.#network.refresh();
    this.#held = this.#running();
    return refused;
  }

  /** By index: where the program runs. */
  #running(): ReadonlySet<number> {
    const ours = this.#ours();
    const running = attachments(this.#options.directory).filter(({ program }) => ours.has(program));
    return new Set(running.map(({ ifindex }) => ifindex));
  }

  #ours(): ReadonlySet<number> {
    return new Set([...this.#options.engine.program.programs.values()].map(({ id }) => id));
  }

  #chosen(network: Network): Choice {
    return choosePresent(network, this.#options.interfaces);
  }

  /** VLAN devices take packets themselves, on the wire of the interface below. */
  async #prepareHost(network: Network, interfaces: Choice['interfaces']): Promise<void> {
    const names = namesWithVlans(network, interfaces);
    if (this.#prepared?.join() === names.join()) return;
    await this.#options.acceptLocalSources(names);
    await loadCompletion({ mark: markOf(this.#options.engine), interfaces: names });
    this.#prepared = names;
  }

  #completion(): Parameters<typeof completionStands>[0] {
    return { mark: markOf(this.#options.engine), interfaces: this.#prepared ?? [] };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** What `establish` has done, where it could not do all of it. */
async function withdraw({ directory, acceptLocalSources }: PresenceOptions, before: readonly Attachment[]) {
  for (const { ifindex } of attachments(directory)) {
    if (!before.some((each) => each.ifindex === ifindex)) detach(directory, ifindex);
  }
  if (before.length > 0) return;
  await removeCompletion();
  await acceptLocalSources([]);
}

/** The kernel takes a program off some milliseconds after somebody has removed the pin of its link. */
async function untilLeft(ifindex: number, ours: ReadonlySet<number>): Promise<void> {
  for (let waited = 0; waited < 500; waited += 10) {
    const { native, generic } = xdpState(ifindex);
    if (!ours.has(native) && !ours.has(generic)) return;
    await pause(10);
  }
}

function namesWithVlans({ links }: Network, interfaces: Choice['interfaces']): readonly string[] {
  const found = new Set(interfaces.map(({ ifindex }) => ifindex));
  // Twice, because a VLAN device may sit on another.
  for (let depth = 0; depth < 2; depth += 1) {
    for (const { index, vlan, parent } of links) {
      if (vlan !== undefined && parent !== undefined && found.has(parent)) found.add(index);
    }
  }
  return links.filter(({ index }) => found.has(index)).map(({ name }) => name);
}

function same(before: readonly Attachment[], after: readonly Attachment[]): boolean {
  const text = (all: readonly Attachment[]) => all.map(({ ifindex, mode }) => `${ifindex} ${mode}`).join();
  return text(before) === text(after);
}
