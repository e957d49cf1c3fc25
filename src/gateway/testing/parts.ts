// Stand-ins for what a gateway is made of besides the fake data plane.
import type { HealthChecks } from '../../health/checks.ts';
import type { Assigned, Assignment, VerdictChange } from '../../health/monitor.ts';
import type { Verdict } from '../../health/verdict.ts';
import type { Host } from '../../host/host.ts';
import type { HostChange, Saved, Store } from '../../store/store.ts';

/** A host that only remembers what it was asked for. */
export class RememberedHost implements Host {
  readonly settings = [];
  readonly present = new Set<string>();
  readonly #failures = new Map<'add' | 'remove', Error>();

  get addresses() {
    return [...this.present].map((address) => ({ address: address as never, interface: 'lo', added: true }));
  }

  /** Lets the next addition or removal throw, and change nothing. */
  failNext(step: 'add' | 'remove', error: Error): void {
    this.#failures.set(step, error);
  }

  /** A new run begins without failures. */
  adopt(): void {
    this.#failures.clear();
  }

  async prepare(): Promise<void> {}

  async acceptLocalSources(): Promise<void> {}

  async addAddresses(addresses: readonly string[]): Promise<void> {
    this.#fail('add', addresses);
    for (const address of addresses) this.present.add(address);
  }

  async removeAddresses(addresses: readonly string[]): Promise<void> {
    this.#fail('remove', addresses);
    for (const address of addresses) this.present.delete(address);
  }

  async reconcile(wanted: readonly string[]): Promise<readonly string[]> {
    this.present.clear();
    for (const address of wanted) this.present.add(address);
    return [];
  }

  async restore(): Promise<void> {
    this.present.clear();
  }

  #fail(step: 'add' | 'remove', addresses: readonly string[]): void {
    const failure = this.#failures.get(step);
    if (failure === undefined || addresses.length === 0) return;
    this.#failures.delete(step);
    throw failure;
  }
}

/** What a `FailingStore` fails at. */
export type Step = 'save' | 'revert' | 'remember' | 'put';

/** A store that fails where it is told to, as often as it is told to. */
export class FailingStore implements Store {
  readonly #store: Store;
  readonly #failures: { readonly step: Step; readonly error: Error }[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /** Lets the next such step throw, and write nothing. */
  failNext(step: Step, error: Error): void {
    this.#failures.push({ step, error });
  }

  load(): Promise<Saved> {
    return this.#store.load();
  }

  async save(...change: Parameters<Store['save']>): Promise<void> {
    this.#fail('save');
    await this.#store.save(...change);
  }

  async revert(): Promise<void> {
    this.#fail('revert');
    await this.#store.revert();
  }

  async put(...changes: Parameters<Store['put']>): Promise<void> {
    this.#fail('put');
    await this.#store.put(...changes);
  }

  async remember(...answer: Parameters<Store['remember']>): Promise<void> {
    this.#fail('remember');
    await this.#store.remember(...answer);
  }

  answer(requestId: string): Uint8Array | undefined {
    return this.#store.answer(requestId);
  }

  recordHostChanges(changes: readonly HostChange[]): Promise<void> {
    return this.#store.recordHostChanges(changes);
  }

  forgetHostChanges(changes: readonly HostChange[]): Promise<void> {
    return this.#store.forgetHostChanges(changes);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #fail(step: Step): void {
    const index = this.#failures.findIndex((failure) => failure.step === step);
    const [failure] = index < 0 ? [] : this.#failures.splice(index, 1);
    if (failure !== undefined) throw failure.error;
  }
}

/** Health checks that find what a test says, and remember what they were told to probe. */
export class RememberedChecks implements HealthChecks {
  /** By key, as last assigned. */
  readonly assigned = new Map<string, Assigned>();
  #listener: (changes: readonly VerdictChange[]) => void = () => {};

  onChange(listener: (changes: readonly VerdictChange[]) => void): void {
    this.#listener = listener;
  }

  assign({ removed, added }: Assignment): void {
    for (const key of removed) this.assigned.delete(key);
    for (const each of added) this.assigned.set(each.key, each);
  }

  report() {
    return { begun: 5, lateness: 7, unsent: 0, trouble: '' };
  }

  /** Finds machines up or down by all probes of theirs (or those of one port). */
  find(state: 'up' | 'down', addresses: readonly string[], port?: number): void {
    const reason = state === 'up' ? 'Up_Probe_Success' : 'Down_Probe_TcpProbeTimeout';
    const detail = state === 'up' ? '' : 'connection refused';
    const verdict: Verdict = { state, reason, detail, since: 1_000, flapping: false };
    const wanted = new Set(addresses);
    this.#listener(
      [...this.assigned.values()].flatMap(({ key, target }): VerdictChange[] =>
        wanted.has(target.address) && (port === undefined || port === target.port) ? [[key, verdict]] : [],
      ),
    );
  }

  async close(): Promise<void> {}
}
