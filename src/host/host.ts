// What the host needs beside a data plane: forwarding switched on, and the frontends' addresses. Each change is
// recorded in the store before it is made, so that `flush` can undo it even after a crash.
import { type IpAddress, parseAddress } from '../resources/address.ts';
import type { HostChange, Store } from '../store/store.ts';
import {
  addAddresses,
  frontendInterface,
  interfacesWithAdvertisedDefault,
  listAddresses,
  removeAddresses,
} from './addresses.ts';
import { kernelSysctl, type Sysctl } from './sysctl.ts';

export interface HostSetting {
  readonly name: string;
  readonly value: string;
  readonly valueBefore: string;
}

export interface HostAddress {
  readonly address: IpAddress;
  readonly interface: string;
  /** False when the address stood there before; it is then never removed. */
  readonly added: boolean;
}

/** What the gateway asks of the host; the tests' stand-in keeps the same contract. */
export interface Host {
  /** Takes over what an earlier run changed; before anything else is called. */
  adopt(earlier: readonly HostChange[]): void;
  /** Switches forwarding on. Idempotent. */
  prepare(): Promise<void>;
  /**
   * Lets exactly these interfaces take packets whose source is an address of this host: what one part of a data plane has
   * translated and another is to route. Others get back what they had before. Idempotent.
   */
  acceptLocalSources(interfaces: readonly string[]): Promise<void>;
  /** Puts addresses on the host; those that it already has are only noted. */
  addAddresses(addresses: readonly IpAddress[]): Promise<void>;
  /** Takes addresses off again, except those that stood there before. */
  removeAddresses(addresses: readonly IpAddress[]): Promise<void>;
  /**
   * Brings the settings back, and the addresses to exactly those wanted; takes off what an earlier run left behind.
   * Returns what it had to mend, in words.
   */
  reconcile(wanted: readonly IpAddress[]): Promise<readonly string[]>;
  /** Undoes everything that was ever changed. */
  restore(): Promise<void>;
  readonly settings: readonly HostSetting[];
  readonly addresses: readonly HostAddress[];
}

export class LinuxHost implements Host {
  readonly #store: Pick<Store, 'recordHostChanges' | 'forgetHostChanges'>;
  readonly #sysctl: Sysctl;
  readonly #settings = new Map<string, HostSetting>();
  readonly #addresses = new Map<IpAddress, HostAddress>();
  /** What is on the host because of us, from this run or an earlier one. */
  readonly #changes = new Map<string, HostChange>();
  /** The data plane asks on its own account, whatever the gateway is doing. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: Pick<Store, 'recordHostChanges' | 'forgetHostChanges'>, sysctl: Sysctl = kernelSysctl) {
    this.#store = store;
    this.#sysctl = sysctl;
  }

  get settings(): readonly HostSetting[] {
    return [...this.#settings.values()];
  }

  get addresses(): readonly HostAddress[] {
    return [...this.#addresses.values()];
  }

  adopt(earlier: readonly HostChange[]): void {
    for (const change of earlier) this.#changes.set(keyOf(change), change);
  }

  prepare(): Promise<void> {
    return this.#inTurn(() => this.#prepare());
  }

  acceptLocalSources(interfaces: readonly string[]): Promise<void> {
    return this.#inTurn(() => this.#acceptLocalSources(interfaces));
  }

  reconcile(wanted: readonly IpAddress[]): Promise<readonly string[]> {
    return this.#inTurn(() => this.#reconcile(wanted));
  }

  restore(): Promise<void> {
    return this.#inTurn(() => this.#restore());
  }

  async #prepare(): Promise<void> {
    const acceptingRouters = (await this.#sysctl.read('net.ipv6.conf.all.forwarding')) === '0';
    await this.#set('net.ipv4.ip_forward', '1');
    // A forwarding host ignores router advertisements (kernel: ip-sysctl, accept_ra) and would lose a default route
    // that it learnt from one, unless told to go on accepting them.
    if (acceptingRouters) {
      for (const link of await interfacesWithAdvertisedDefault()) {
        await this.#set(`net.ipv6.conf.${pathPart(link)}.accept_ra`, '2');
      }
    }
    await this.#set('net.ipv6.conf.all.forwarding', '1');
  }

  async #acceptLocalSources(interfaces: readonly string[]): Promise<void> {
    const strictEverywhere = (await this.#sysctl.read('net.ipv4.conf.all.rp_filter')) === '1';
    const wanted = new Set<string>();
    for (const link of interfaces) {
      const prefix = `net.ipv4.conf.${pathPart(link)}`;
      await this.#set(`${prefix}.accept_local`, '1');
      wanted.add(`${prefix}.accept_local`);
      // The larger of the two values counts. Strict (1) also refuses what is accepted as local, loose (2) does not
      // (kernel: ip-sysctl, rp_filter). What we made loose stays so: it would be strict again without.
      const own = await this.#sysctl.read(`${prefix}.rp_filter`);
      const ours = this.#changes.has(keyOf({ kind: 'sysctl', name: `${prefix}.rp_filter` }));
      if (!ours && own !== '1' && !(strictEverywhere && own === '0')) continue;
      await this.#set(`${prefix}.rp_filter`, '2');
      wanted.add(`${prefix}.rp_filter`);
    }
    const before = [...this.#changes.values()].filter(
      ({ kind, name }) => kind === 'sysctl' && localSourceSetting.test(name) && !wanted.has(name),
    );
    await this.#takeBack(before);
    for (const name of this.#settings.keys()) {
      if (localSourceSetting.test(name) && !wanted.has(name)) this.#settings.delete(name);
    }
  }

  async addAddresses(addresses: readonly IpAddress[]): Promise<void> {
    if (addresses.length === 0) return;
    const present = await listAddresses();
    const missing = addresses.filter((address) => !present.has(address));
    const changes = missing.map((address) => addressChange(address));
    if (changes.length > 0) await this.#record(changes);
    await addAddresses(missing);
    for (const address of addresses) {
      const change = this.#changes.get(keyOf(addressChange(address)));
      this.#addresses.set(address, {
        address,
        interface: present.get(address) ?? frontendInterface,
        added: change !== undefined,
      });
    }
  }

  async removeAddresses(addresses: readonly IpAddress[]): Promise<void> {
    if (addresses.length === 0) return;
    const ours = addresses.filter((address) => this.#changes.has(keyOf(addressChange(address))));
    await removeAddresses(ours);
    if (ours.length > 0) await this.#forget(ours.map(addressChange));
    for (const address of addresses) this.#addresses.delete(address);
  }

  async #reconcile(wanted: readonly IpAddress[]): Promise<readonly string[]> {
    const mended: string[] = [];
    for (const { name, value } of this.#settings.values()) {
      const present = await this.#sysctl.read(name);
      if (present === value || present === undefined) continue;
      await this.#sysctl.write(name, value);
      mended.push(`${name} was not ${value} any more`);
    }
    const keep = new Set(wanted);
    await this.removeAddresses(this.#ownAddresses().filter((address) => !keep.has(address)));
    if (wanted.length === 0) return mended;
    const present = await listAddresses();
    const lost = wanted.filter((address) => !present.has(address) && this.#addresses.has(address));
    if (lost.length > 0) mended.push(`frontend addresses were gone: ${lost.slice(0, 10).join(', ')}`);
    const unnoted = wanted.filter((address) => !present.has(address) || !this.#addresses.has(address));
    await this.addAddresses(unnoted);
    return mended;
  }

  async #restore(): Promise<void> {
    await this.removeAddresses(this.#ownAddresses());
    await this.#takeBack([...this.#changes.values()]);
    this.#settings.clear();
    this.#addresses.clear();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  #ownAddresses(): readonly IpAddress[] {
    return [...this.#changes.values()].flatMap(({ kind, name }) => {
      const address = kind === 'address' ? parseAddress(name) : undefined;
      return address === undefined ? [] : [address];
    });
  }

  async #set(name: string, value: string): Promise<void> {
    const before = await this.#sysctl.read(name);
    if (before === undefined) return;
    const earlier = this.#changes.get(keyOf({ kind: 'sysctl', name }));
    if (before !== value) {
      if (earlier === undefined) await this.#record([{ kind: 'sysctl', name, detail: before }]);
      await this.#sysctl.write(name, value);
    }
    this.#settings.set(name, { name, value, valueBefore: earlier?.detail ?? before });
  }

  /** Settings get the values that they had; addresses are the caller's. */
  async #takeBack(changes: readonly HostChange[]): Promise<void> {
    if (changes.length === 0) return;
    for (const change of changes) {
      if (change.kind === 'sysctl') await this.#sysctl.write(change.name, change.detail);
    }
    await this.#forget(changes);
  }

  async #record(changes: readonly HostChange[]): Promise<void> {
    await this.#store.recordHostChanges(changes);
    for (const change of changes) this.#changes.set(keyOf(change), change);
  }

  async #forget(changes: readonly HostChange[]): Promise<void> {
    await this.#store.forgetHostChanges(changes);
    for (const change of changes) this.#changes.delete(keyOf(change));
  }
}

const localSourceSetting = /^net\.ipv4\.conf\..+\.(?:accept_local|rp_filter)$/;

/** Dots part the name of a setting, so those of an interface's name are written as slashes, as sysctl(8) has it. */
function pathPart(link: string): string {
  return link.replaceAll('.', '/');
}

function keyOf(change: Pick<HostChange, 'kind' | 'name'>): string {
  return `${change.kind} ${change.name}`;
}

function addressChange(address: IpAddress): HostChange {
  return { kind: 'address', name: address, detail: frontendInterface };
}
