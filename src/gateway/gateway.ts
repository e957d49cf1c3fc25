// The one writer. A change is validated, assigned, compiled, compared, journalled, committed and acknowledged, one
// change at a time; and what the kernel runs is checked and mended between changes.
import {
  CommitFailed,
  type Counters,
  type DataPlane,
  type Finding,
  type KernelState,
  type PlaneReport,
  type Stamp,
} from '../dataplane/dataplane.ts';
import { type Change, isEmpty } from '../forwarding/change.ts';
import { compileInSteps } from '../forwarding/compile.ts';
import { diff } from '../forwarding/diff.ts';
import type { HealthChecks } from '../health/checks.ts';
import type { VerdictChange } from '../health/monitor.ts';
import type { Host } from '../host/host.ts';
import type { Mapping } from '../ports/mapping.ts';
import type { Abilities } from '../resources/abilities.ts';
import type { IpAddress } from '../resources/address.ts';
import type { ConfigurationChange } from '../resources/change.ts';
import { applyChangeSet, replaceConfigurationInSteps } from '../resources/configuration.ts';
import type { ChangeSetDraft, LoadBalancerDraft } from '../resources/draft.ts';
import type { LoadBalancer } from '../resources/model.ts';
import { Refusal } from '../resources/refusal.ts';
import type { RowChange, Saved, Store } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { answerOf, unpackAnswer } from './answers.ts';
import type {
  Applied,
  ChangeOptions,
  FlowFilter,
  GatewayContract,
  GatewayEvent,
  LimitRefusals,
  MemberCounters,
  OutboundFilter,
  Plan,
  RuleFlows,
  Snapshot,
  Status,
} from './contract.ts';
import { limitRefusals, mappingCounters, memberCounters, ruleCounters } from './counters.ts';
import { declaredFigures, probeFigures } from './declared-figures.ts';
import { drainsFound, dueDrains } from './drains.ts';
import { EventLog } from './events.ts';
import { ruleFlows } from './flows.ts';
import { wholeAssignment, withVerdicts } from './health-state.ts';
import { healthChanges } from './member-health.ts';
import type { OutboundMember } from './outbound-members.ts';
import { outboundWarnings } from './outbound-warnings.ts';
import { OutboundWatch } from './outbound-watch.ts';
import { PendingVerdicts } from './pending-verdicts.ts';
import { planOf } from './plan.ts';
import { type Prospect, prospectOf } from './prospect.ts';
import { SerialQueue } from './queue.ts';
import { stateFromRows, turnFromRows, wayForward } from './restore.ts';
import { rowChanges } from './rows.ts';
import { snapshotOf } from './snapshot.ts';
import { nextTurn, runningOf, stampNumber } from './stamps.ts';
import { type State, sourcesOf } from './state.ts';
import { breathe, stepByStep } from './turns.ts';
import { Unsaved } from './unsaved.ts';
import { sameStored } from './verdict-rows.ts';

export interface GatewayParts {
  readonly store: Store;
  readonly dataPlane: DataPlane;
  readonly host: Host;
  readonly logger: Logger;
  /** Who probes. Absent: nobody does, and what was known stands. */
  readonly health?: HealthChecks;
  /** For `status`. */
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** How often the kernel's state is compared with ours, in milliseconds. */
const checkInterval = 1_000;
/** Every so many checks, the host's settings and addresses are compared too (they cost a process). */
const checksPerHostCheck = 10;

export class Gateway implements GatewayContract {
  readonly #parts: GatewayParts;
  readonly #queue = new SerialQueue();
  readonly #events: EventLog;
  readonly #instance: string;
  readonly #dataPlaneVersion: string;
  readonly #started: number;
  readonly #warnings = new Map<string, Finding>();
  readonly #verdicts = new PendingVerdicts((changes) => this.#queue.run(() => this.#judge(changes)));
  readonly #outboundWatch: OutboundWatch;
  #state: State;
  /** How often verdicts have changed what the kernel runs. */
  #turn: number;
  readonly #unsaved = new Unsaved();
  #dataPlaneRevision: number;
  /** The kernel's answer to the last commit was lost: what it runs is not known. */
  #doubtful = false;
  /** The store still holds a change that failed: taking it back failed too. */
  #unreverted = false;
  #checks = 0;
  #checking = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  private constructor(
    parts: GatewayParts,
    state: State,
    turn: number,
    instance: string,
    dataPlaneVersion: string,
  ) {
    this.#parts = parts;
    this.#state = state;
    this.#turn = turn;
    this.#instance = instance;
    this.#dataPlaneVersion = dataPlaneVersion;
    this.#dataPlaneRevision = state.revision;
    this.#events = new EventLog(state.revision);
    this.#started = this.#now();
    this.#outboundWatch = new OutboundWatch({
      dataPlane: parts.dataPlane,
      state: () => this.#state,
      onLevel: (member) =>
        this.#events.publish({
          revision: this.#state.revision,
          time: this.#now(),
          kind: 'outbound',
          member,
        }),
      logger: parts.logger,
    });
  }

  /**
   * Restores the state, compares it with what the kernel runs, and applies only the difference. Throws
   * `DataPlaneUnavailable`, `StoreFailed` or `CommitFailed`; nothing that is forwarded has changed then.
   */
  static async open(parts: GatewayParts): Promise<Gateway> {
    const saved = await parts.store.load();
    // First of all: the data plane may change the host's settings for itself.
    parts.host.adopt(saved.hostChanges);
    const kernel = await parts.dataPlane.open();
    try {
      return await Gateway.#restored(parts, saved, kernel);
    } catch (error) {
      await parts.dataPlane.close();
      throw error;
    }
  }

  static async #restored(parts: GatewayParts, saved: Saved, kernel: KernelState): Promise<Gateway> {
    const { dataPlane, host, logger } = parts;
    const own = kernel.stamp?.instance === saved.instance ? runningOf(kernel.stamp.revision) : undefined;
    const turn = turnFromRows(saved.rows);
    const isBehind = own?.revision === saved.revision - 1 && own.turn === turn;
    const forward = isBehind && saved.undo !== undefined ? wayForward(saved, saved.undo) : undefined;
    const stored = forward?.state ?? stateFromRows(saved.revision, saved.rows);
    const drains = drainsFound(stored.drains, stored.configuration, (parts.now ?? Date.now)());
    const state: State = { ...stored, drains };
    const gateway = new Gateway(parts, state, turn, saved.instance, kernel.version);
    if (drains !== stored.drains) gateway.#unsaved.addDrains(stored.drains);
    await host.prepare();
    await host.reconcile(gateway.#localAddresses());
    if (own?.revision === saved.revision && own.turn === turn) {
      logger.info({ revision: saved.revision }, 'the kernel runs the stored revision; nothing to do');
    } else if (forward !== undefined && (await gateway.#caughtUp(forward.change))) {
      logger.info({ revision: saved.revision }, 'the kernel was one revision behind; applied the difference');
    } else {
      await dataPlane.load(state.table, gateway.#stamp(state.revision));
      logger.info({ revision: saved.revision, kernel: own?.revision }, 'loaded the stored revision');
    }
    parts.health?.onChange((changes) => gateway.#verdicts.add(changes));
    parts.health?.assign({ removed: [], added: wholeAssignment(state.health) });
    gateway.#outboundWatch.start();
    gateway.#timer = setInterval(() => void gateway.#check(), checkInterval);
    return gateway;
  }

  apply(changes: ChangeSetDraft, options: ChangeOptions = {}): Promise<Applied> {
    return this.#change((state) => applyChangeSet(state.configuration, changes, this.#abilities), options);
  }

  replaceAll(loadBalancers: readonly LoadBalancerDraft[], options: ChangeOptions = {}): Promise<Applied> {
    return this.#change(
      (state) => stepByStep(replaceConfigurationInSteps(state.configuration, loadBalancers, this.#abilities)),
      options,
    );
  }

  get #abilities(): Abilities {
    return { encapsulation: this.#parts.dataPlane.kind !== 'nftables' };
  }

  snapshot(): Snapshot {
    return snapshotOf(this.#state);
  }

  watch(afterRevision: number, signal: AbortSignal): AsyncIterable<GatewayEvent> {
    return this.#events.follow(afterRevision, signal);
  }

  mappingCounters(mappings: readonly Mapping[]): Promise<ReadonlyMap<Mapping, Counters>> {
    return mappingCounters(this.#parts.dataPlane, this.#state.table, mappings);
  }

  ruleCounters(loadBalancer: LoadBalancer): Promise<ReadonlyMap<string, Counters>> {
    return ruleCounters(this.#parts.dataPlane, this.#state.table, loadBalancer);
  }

  limitRefusals(loadBalancer: LoadBalancer): Promise<readonly LimitRefusals[]> {
    return limitRefusals(this.#parts.dataPlane, this.#state.table, loadBalancer);
  }

  memberCounters(loadBalancer: LoadBalancer): Promise<readonly MemberCounters[]> {
    return memberCounters(this.#parts.dataPlane, this.#state.table, loadBalancer);
  }

  outboundPorts(filter: OutboundFilter): Promise<readonly OutboundMember[]> {
    return this.#outboundWatch.members(filter);
  }

  flows(filter: FlowFilter, most: number): Promise<RuleFlows> {
    return ruleFlows(this.#parts.dataPlane, this.#state, filter, most);
  }

  async status(): Promise<Status> {
    const { plane, warnings } = await this.#planeReport();
    const probes = probeFigures(this.#state.health, this.#parts.health?.report());
    return {
      ...declaredFigures(this.#state),
      version: this.#parts.version,
      revision: this.#state.revision,
      dataPlane: this.#parts.dataPlane.kind,
      dataPlaneVersion: this.#dataPlaneVersion,
      dataPlaneRevision: this.#dataPlaneRevision,
      started: this.#started,
      warnings: [...this.#warnings.values(), ...outboundWarnings(this.#outboundWatch.alarming), ...warnings],
      hostSettings: this.#parts.host.settings,
      hostAddresses: this.#parts.host.addresses,
      plane,
      ...(probes && { probes }),
    };
  }

  /** A plane in trouble must not take `status` along. */
  async #planeReport(): Promise<{ readonly plane: PlaneReport; readonly warnings: readonly Finding[] }> {
    try {
      return { plane: await this.#parts.dataPlane.report(this.#state.table), warnings: [] };
    } catch (error) {
      const warning: Finding = {
        code: 'DATA_PLANE_SILENT',
        message: `the data plane does not tell of itself: ${messageOf(error)}`,
        remedy: 'See the log. What it forwards is checked, and mended, every second.',
      };
      return { plane: { interfaces: [], maps: [], reasons: [], notes: [] }, warnings: [warning] };
    }
  }

  /** Finishes what is queued. The kernel goes on forwarding, unless `flush` asks that nothing is left behind. */
  close({ flush }: { readonly flush: boolean } = { flush: false }): Promise<void> {
    clearInterval(this.#timer);
    this.#verdicts.close();
    return this.#queue.run(async () => {
      this.#closed = true;
      await this.#outboundWatch.close();
      const { dataPlane, host } = this.#parts;
      try {
        if (this.#unreverted) await this.#takeBack();
        if (flush) await dataPlane.flush();
      } finally {
        await dataPlane.close();
        if (flush) await host.restore();
      }
    });
  }

  #change(
    propose: (state: State) => ConfigurationChange | Promise<ConfigurationChange>,
    options: ChangeOptions,
  ): Promise<Applied> {
    return this.#queue.run(async () => {
      if (this.#closed) throw new Error('the gateway is closed');
      await this.#settle();
      const remembered = await this.#remembered(options);
      if (remembered !== undefined) return remembered;
      this.#refuseStale(options);
      const state = this.#state;
      const proposed = await propose(state);
      await breathe(proposed);
      const allowRemap = options.allowRemap ?? false;
      const prospect = await prospectOf(state, proposed, { allowRemap, now: this.#now() });
      const plan = planOf(prospect.given, prospect.change, 0);
      const unchanged: Applied = { revision: state.revision, plan };
      if (options.validateOnly === true) return unchanged;
      if (proposed.changed.size === 0) {
        const answer = await answerOf(options.requestId, unchanged);
        if (answer !== undefined) await this.#parts.store.remember(state.revision, answer);
        return unchanged;
      }
      await breathe(proposed);
      const applied = await this.#carryOut(prospect, [...proposed.changed.keys()], plan, options.requestId);
      this.#parts.health?.assign(prospect.assignment);
      return applied;
    });
  }

  /** Journal, then commit; on any failure both are as before. `names` are the load balancers that differ. */
  async #carryOut(
    { next, change, given, assignment }: Prospect,
    names: readonly string[],
    expected: Plan,
    requestId: string | undefined,
  ): Promise<Applied> {
    const { store, host } = this.#parts;
    const before = this.#state;
    const answer = await answerOf(requestId, { revision: next.revision, plan: expected });
    // By itself: the change may write the same rows.
    if (this.#unsaved.drains) {
      await store.put(this.#unsaved.rows(before, before, [], this.#turn));
      this.#unsaved.clear();
    }
    const targets = [...assignment.removed, ...assignment.added.map(({ key }) => key)];
    const health = this.#unsaved.rows(before, next, targets, this.#turn);
    await store.save(next.revision, together(rowChanges(before, next, names), health), answer);
    const begun = performance.now();
    try {
      await host.addAddresses(change.localAddressesAdded);
      await this.#commit(change, next.revision);
    } catch (error) {
      await this.#takeBack().catch((failure: unknown) => {
        this.#parts.logger.error(
          { err: failure },
          'a change that failed could not be taken back; trying again',
        );
      });
      await this.#removeAddresses(change.localAddressesAdded);
      throw error;
    }
    const commitTime = performance.now() - begun;
    const plan = planOf(given, change, commitTime);
    // Both at once: who reads the new revision has not missed its event, and does not get it again.
    this.#state = next;
    this.#unsaved.clear();
    this.#events.publish({ revision: next.revision, time: this.#now(), kind: 'applied', plan });
    this.#parts.logger.info({ revision: next.revision, commitTime, ...figuresOf(plan) }, 'applied a change');
    await this.#removeAddresses(change.localAddressesRemoved);
    return { revision: next.revision, plan };
  }

  /** Never throws: the change stands, or has failed, whatever becomes of these. The host check tries again. */
  async #removeAddresses(addresses: readonly IpAddress[]): Promise<void> {
    try {
      await this.#parts.host.removeAddresses(addresses);
    } catch (error) {
      this.#parts.logger.error({ err: error }, 'addresses could not be taken off the host; trying again');
    }
  }

  /** Carries out new verdicts: no new revision, and no journal first, for a full disk must not keep flows on dead machines. */
  async #judge(changes: readonly VerdictChange[]): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#settle();
      const before = this.#state;
      const judged = withVerdicts(before.health, changes);
      const names = new Set(
        Array.from(judged.pools, (key) => before.health.pools.get(key)?.loadBalancer ?? ''),
      );
      const changed = new Map(Array.from(names, (name) => [name, before.configuration.get(name)]));
      const table = await stepByStep(
        compileInSteps(before.table, changed, ...sourcesOf({ ...before, health: judged.health })),
      );
      const change = diff(before.table, table);
      if (!isEmpty(change)) {
        const turn = nextTurn(this.#turn);
        await this.#commit(change, before.revision, turn);
        this.#turn = turn;
        this.#unsaved.addTurn();
      }
      const after: State = { ...before, table, health: judged.health };
      this.#state = after;
      this.#warnings.delete('VERDICTS_PENDING');
      if (judged.pools.size > 0) {
        const members = { [Symbol.iterator]: () => healthChanges(before, after, judged.pools) };
        this.#events.publish({ revision: after.revision, time: this.#now(), kind: 'health', members });
      }
      await this.#saveVerdicts(before, after, judged.targets);
    } catch (error) {
      this.#parts.logger.error(
        { err: error },
        'verdicts of health probes could not be carried out; trying again',
      );
      this.#warn({
        code: 'VERDICTS_PENDING',
        message: `what health probes have found could not be carried out: ${messageOf(error)}`,
        remedy: 'See the log; Penstock tries again every second.',
      });
      throw error;
    }
  }

  /** For a restart. Where that fails, the next change tries again. */
  async #saveVerdicts(before: State, after: State, targets: Iterable<string>): Promise<void> {
    const { health } = before;
    const differing = [...targets].filter(
      (key) => !sameStored(health.verdicts.get(key), after.health.verdicts.get(key)),
    );
    const rows = this.#unsaved.rows(before, after, differing, this.#turn);
    if (rows.length === 0) return;
    try {
      await this.#parts.store.put(rows);
      this.#unsaved.clear();
    } catch (error) {
      this.#unsaved.addTargets(differing);
      this.#parts.logger.error({ err: error }, 'verdicts could not be stored; trying again with the next');
    }
  }

  /** Ends the flows of members whose drain period has passed, as verdicts are carried out: no new revision, stored afterwards. */
  async #endDrains(): Promise<void> {
    const before = this.#state;
    const due = dueDrains(before.drains, before.configuration, this.#now());
    if (due === undefined) return;
    const changed = new Map(Array.from(due.names, (name) => [name, before.configuration.get(name)]));
    const table = await stepByStep(
      compileInSteps(before.table, changed, ...sourcesOf({ ...before, drains: due.drains })),
    );
    const change = diff(before.table, table);
    const turn = isEmpty(change) ? this.#turn : nextTurn(this.#turn);
    if (turn !== this.#turn) await this.#commit(change, before.revision, turn);
    this.#turn = turn;
    this.#unsaved.addDrains(before.drains);
    this.#state = { ...before, table, drains: due.drains };
    for (const member of due.members) this.#parts.logger.info(member, 'a drain period has passed');
    try {
      await this.#parts.store.put(this.#unsaved.rows(this.#state, this.#state, [], this.#turn));
      this.#unsaved.clear();
    } catch (error) {
      this.#parts.logger.error(
        { err: error },
        'ended drains could not be stored; trying again with the next',
      );
    }
  }

  /** Takes the saved revision out of the store again. Where that fails, nothing else is saved until it has worked. */
  async #takeBack(): Promise<void> {
    this.#unreverted = true;
    await this.#parts.store.revert();
    this.#unreverted = false;
  }

  /** Brings store and kernel back to the state that stands, where the last change left one of them in doubt. */
  async #settle(): Promise<void> {
    if (this.#unreverted) await this.#takeBack();
    if (this.#doubtful) await this.#mendDataPlane();
  }

  /** Applies what the kernel has missed. False where it refuses that, or may have: then all has to be loaded. */
  async #caughtUp(change: Change): Promise<boolean> {
    try {
      await this.#parts.dataPlane.commit(change, this.#stamp(this.#state.revision));
      return true;
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'the difference could not be applied; loading everything');
      return false;
    }
  }

  async #commit(change: Change, revision: number, turn = this.#turn): Promise<void> {
    try {
      await this.#parts.dataPlane.commit(change, this.#stamp(revision, turn));
      this.#dataPlaneRevision = revision;
    } catch (error) {
      // A clean refusal by the kernel left everything as it was; after anything else, look before the next change.
      if (!(error instanceof CommitFailed)) this.#doubtful = true;
      throw error;
    }
  }

  /** Compares the kernel and the host with what was committed, and mends what somebody else changed. */
  async #check(): Promise<void> {
    // In turn with the changes, however many wait; one at a time, however long those take.
    if (this.#checking) return;
    this.#checking = true;
    await this.#queue.run(async () => {
      if (this.#closed) return;
      try {
        await this.#settle();
        this.#parts.dataPlane.tend(this.#state.table);
        await this.#mendDataPlane();
        await this.#endDrains();
        this.#checks += 1;
        if (this.#checks % checksPerHostCheck === 0) await this.#mendHost();
        this.#warnings.delete('CHECK_FAILED');
      } catch (error) {
        this.#parts.logger.error({ err: error }, 'the kernel could not be checked or repaired');
        this.#warn({
          code: 'CHECK_FAILED',
          message: `what the kernel runs could not be checked or repaired: ${messageOf(error)}`,
          remedy: 'See the log; Penstock tries again every second.',
        });
      }
    });
    this.#checking = false;
  }

  async #mendDataPlane(): Promise<void> {
    const verdict = await this.#parts.dataPlane.verify();
    if (verdict.kind === 'mended') {
      this.#warn({
        code: 'DATA_PLANE_REPAIRED',
        message: `${verdict.detail}; put right at ${new Date(this.#now()).toISOString()}`,
        remedy:
          'Find what else on this host changes the ruleset, XDP programs, or what is in /sys/fs/bpf/penstock.',
      });
    }
    if (verdict.kind !== 'damaged' && !this.#doubtful) return;
    const detail = verdict.kind === 'damaged' ? verdict.detail : 'the outcome of a commit was not known';
    await this.#parts.dataPlane.load(this.#state.table, this.#stamp(this.#state.revision));
    this.#dataPlaneRevision = this.#state.revision;
    this.#doubtful = false;
    this.#warn({
      code: 'DATA_PLANE_REPAIRED',
      message: `${detail}; loaded everything again at ${new Date(this.#now()).toISOString()}`,
      remedy: 'Find what else changes the ruleset of this host: "nft monitor" shows it. Counters began anew.',
    });
  }

  async #mendHost(): Promise<void> {
    const mended = await this.#parts.host.reconcile(this.#localAddresses());
    if (mended.length === 0) return;
    this.#warn({
      code: 'HOST_REPAIRED',
      message: `${mended.join('; ')}; set again at ${new Date(this.#now()).toISOString()}`,
      remedy:
        'Find what else configures this host; Penstock needs forwarding and its local frontend addresses.',
    });
  }

  #warn(warning: Finding): void {
    const known = this.#warnings.get(warning.code);
    this.#warnings.set(warning.code, warning);
    if (known?.message === warning.message) return;
    this.#parts.logger.warn({ code: warning.code, remedy: warning.remedy }, warning.message);
    this.#events.publish({ revision: this.#state.revision, time: this.#now(), kind: 'warning', warning });
  }

  async #remembered({ requestId, validateOnly }: ChangeOptions): Promise<Applied | undefined> {
    if (requestId === undefined || validateOnly === true) return undefined;
    const body = this.#parts.store.answer(requestId);
    return body === undefined ? undefined : unpackAnswer(body);
  }

  #refuseStale({ expectedRevision = 0 }: ChangeOptions): void {
    const { revision } = this.#state;
    if (expectedRevision === 0 || expectedRevision === revision) return;
    throw new Refusal([
      {
        field: 'expected_revision',
        reason: 'STALE_REVISION',
        description: `revision ${expectedRevision} is not the current one, ${revision}: read it again and repeat`,
        metadata: { expected: String(expectedRevision), current: String(revision) },
      },
    ]);
  }

  #localAddresses() {
    return [...this.#state.table.localAddresses.keys()];
  }

  #stamp(revision: number, turn = this.#turn): Stamp {
    return { instance: this.#instance, revision: stampNumber({ revision, turn }) };
  }

  #now(): number {
    return (this.#parts.now ?? Date.now)();
  }
}

/** May be read more than once. */
function together(changes: Iterable<RowChange>, more: readonly RowChange[]): Iterable<RowChange> {
  return {
    *[Symbol.iterator]() {
      yield* changes;
      yield* more;
    },
  };
}

function figuresOf(plan: Plan) {
  const { assignedTotal, releasedTotal, remappedTotal, entriesAdded, entriesReplaced, entriesDeleted } = plan;
  return { assignedTotal, releasedTotal, remappedTotal, entriesAdded, entriesReplaced, entriesDeleted };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
