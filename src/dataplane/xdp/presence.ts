// On which interfaces the program runs, and what the host needs beside it there; kept true while interfaces and routes
// come and go.
import type { Logger } from 'pino';
import { DataPlaneUnavailable, type PlaneReport } from '../dataplane.ts';
import { completionStands, loadCompletion, removeCompletion } from './completion.ts';
import { type Engine, markOf } from './engine.ts';
import { choosePresent, mustChoose, type Wanted } from './interfaces.ts';
import { type Attachment, attachments } from './kernel/attachments.ts';
import { detach } from './kernel/detach.ts';
import { detachMoved } from './kernel/detach-moved.ts';
import { gracePeriod } from './kernel/grace.ts';
import { interfaceName } from './kernel/interface.ts';
import type { PinDirectory } from './kernel/pin-directory.ts';
import { machineAddresses } from './memory/machine-addresses.ts';
import type { Choice, Chosen } from './network/choose.ts';
import { againstGeneric, receivingInterfaces } from './network/devices.ts';
import { type FollowedNetwork, followNetwork } from './network/follow.ts';
import type { Network } from './network/model.ts';
import { fitTo, placeOn, type Refusal, runsOn, withdraw } from './placement.ts';
import { crampedText, presenceReport, type Without } from './presence-report.ts';

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

type Findings = Refusal['findings'];

/** An interface that is better without the program; no reason not to run on the others. */
const leftToNftables = new Set(['XDP_CHECKSUMS_UNFINISHED', 'XDP_QUEUES_EXCEEDED']);

export class Presence {
  readonly #options: PresenceOptions;
  readonly #network: FollowedNetwork;
  #choice: Choice = { interfaces: [], passedOver: [], inPlace: [] };
  /** By interface name: why the program is not there although it should be. */
  #refused = new Map<string, string>();
  /** Those with an MTU that their driver does not take together with the program. */
  #cramped: readonly Chosen[] = [];
  /** By index: where the program could run in generic mode only, and what is against that; in words with the driver's. */
  readonly #unfit = new Map<number, Without & { readonly against: string }>();
  /** By index: where the program was when it was last put on. */
  #held: ReadonlySet<number> = new Set();
  /** By index: where it is about to be taken off. No packet is to be sent there any more. */
  #leaving: ReadonlySet<number> = new Set();
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
      attached: () => {
        const leaving = presence === undefined ? undefined : presence.#leaving;
        return attachments(directory).filter(({ ifindex }) => leaving?.has(ifindex) !== true);
      },
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
      const refused = (await presence.ensure()).filter(({ code }) => !leftToNftables.has(code));
      if (refused.length > 0 && !lenient) throw new DataPlaneUnavailable(refused);
      return presence;
    } catch (error) {
      await presence.close();
      if (!lenient) {
        withdraw(directory, before);
        if (before.length === 0) {
          await removeCompletion();
          await options.acceptLocalSources([]);
        }
      }
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
    this.#unfit.clear();
    await this.ensure();
    this.#lost.clear();
  }

  /** Whether an interface refused the program when it was last tried. */
  get isRefused(): boolean {
    return this.#refused.size > 0;
  }

  /** Interfaces that somebody has taken the program off since the last call. Well under a millisecond. */
  lost(): readonly string[] {
    this.#noteLost();
    const lost = [...this.#lost];
    this.#lost.clear();
    return lost;
  }

  /** Whether the rules stand that route what the program has translated. Costs a process. */
  completed(): Promise<boolean> {
    // Not while they are being changed, which would look like somebody else's doing.
    return this.#inTurn(() => completionStands(this.#completion()));
  }

  report(): Pick<PlaneReport, 'interfaces' | 'notes'> {
    const { directory, engine } = this.#options;
    const refused = [...this.#refused].map(([name, reason]) => ({ name, reason }));
    return presenceReport(engine, {
      attached: attachments(directory),
      without: [...this.#choice.passedOver, ...refused, ...this.#unfitNow()],
      inPlace: this.#choice.inPlace,
      cramped: this.#cramped,
      network: this.#network,
    });
  }

  /** The program stays where it is. Once this resolves, nothing is done to the host any more that was on its way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#network.close();
    await this.#last;
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
  async #arrange(): Promise<readonly Refusal[]> {
    if (this.#closed) return [];
    const { directory, engine } = this.#options;
    const { network } = this.#network;
    this.#choice = choosePresent(network, this.#options.interfaces);
    const interfaces = this.#choice.interfaces.filter(({ ifindex }) => !this.#isUnfit(ifindex));
    await this.#prepareHost(network, interfaces);
    if (this.#closed) return [];
    const before = attachments(directory);
    this.#noteLost();
    detachMoved(directory);
    await this.#leaveOthers(before, interfaces);
    const refused = await placeOn(directory, engine, interfaces);
    await this.#leaveUnfit(network, interfaces);
    this.#refused = new Map(
      refused.map(({ name, findings }) => [name, findings.map(({ message }) => message).join('; ')]),
    );
    this.#fit(interfaces);
    this.#held = runsOn(directory, engine);
    if (!same(before, attachments(directory))) await this.#network.refresh();
    return refused;
  }

  /** An MTU that was refused is not tried again: drivers complain to the kernel's log each time. */
  #fit(interfaces: readonly Chosen[]): void {
    const { directory, engine, logger } = this.#options;
    const isKnown = ({ ifindex, mtu }: Chosen): boolean =>
      this.#cramped.some((each) => each.ifindex === ifindex && each.mtu === mtu);
    const found = fitTo(
      directory,
      engine,
      interfaces.filter((each) => !isKnown(each)),
    );
    for (const one of found) logger.warn({ interface: one.name, mtu: one.mtu }, crampedText(one));
    this.#cramped = [...interfaces.filter(isKnown), ...found];
  }

  /** Takes it off where generic mode would do harm. It has done nothing there yet, unless what is against that is new. */
  async #leaveUnfit(network: Network, interfaces: readonly Chosen[]): Promise<void> {
    const present = attachments(this.#options.directory);
    const left = new Set(interfaces);
    for (const { ifindex, name, mode, reason = 'no native mode' } of present) {
      const against = mode === 'generic' ? againstGeneric(network, ifindex) : undefined;
      if (against === undefined) continue;
      const words = `${reason}; and ${against}`;
      this.#unfit.set(ifindex, { name, reason: words, against });
      this.#options.logger.warn({ interface: name }, `${name}: ${words}`);
      for (const each of interfaces) if (each.ifindex === ifindex) left.delete(each);
    }
    if (left.size < interfaces.length) await this.#leaveOthers(present, [...left]);
  }

  /** Takes the program off where it does not belong any more, once nothing is sent to those interfaces by redirection. */
  async #leaveOthers(before: readonly Attachment[], interfaces: Choice['interfaces']): Promise<void> {
    const wanted = new Set(interfaces.map(({ ifindex }) => ifindex));
    const leaving = before.map(({ ifindex }) => ifindex).filter((ifindex) => !wanted.has(ifindex));
    if (leaving.length === 0) return;
    this.#leaving = new Set(leaving);
    this.#held = new Set([...this.#held].filter((ifindex) => wanted.has(ifindex)));
    await this.#network.refresh();
    await gracePeriod();
    for (const ifindex of leaving) detach(this.#options.directory, ifindex);
    this.#leaving = new Set();
  }

  #noteLost(): void {
    const { directory, engine } = this.#options;
    const present = runsOn(directory, engine);
    for (const ifindex of this.#held) {
      const name = present.has(ifindex) ? undefined : interfaceName(ifindex);
      if (name !== undefined) this.#lost.add(name);
    }
  }

  /** VLAN devices take packets themselves, on the wire of the interface below. */
  async #prepareHost(network: Network, interfaces: Choice['interfaces']): Promise<void> {
    const names = receivingInterfaces(
      network,
      interfaces.map(({ ifindex }) => ({ ifindex, mode: 'native' })),
    );
    if (this.#prepared?.join() === names.join()) return;
    await this.#options.acceptLocalSources(names);
    await loadCompletion({ mark: markOf(this.#options.engine), interfaces: names });
    this.#prepared = names;
  }

  /** Another trial would do no better. */
  #isUnfit(ifindex: number): boolean {
    const known = this.#unfit.get(ifindex);
    return known !== undefined && known.against === againstGeneric(this.#network.network, ifindex);
  }

  #unfitNow(): readonly Without[] {
    return [...this.#unfit].filter(([ifindex]) => this.#isUnfit(ifindex)).map(([, without]) => without);
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

function same(before: readonly Attachment[], after: readonly Attachment[]): boolean {
  const text = (all: readonly Attachment[]) => all.map(({ ifindex, mode }) => `${ifindex} ${mode}`).join();
  return text(before) === text(after);
}
