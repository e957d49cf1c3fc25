// From what a caller wants to a checked change of the configuration, or to a refusal with every offender.
import { Map as PersistentMap } from 'immutable';
import { type Abilities, checkAbilities, everyAbility } from './abilities.ts';
import { carryAddressIndex } from './address-index.ts';
import type { ChangedLoadBalancer, ConfigurationChange } from './change.ts';
import { type Claimant, checkClaims } from './claims.ts';
import type { ChangeSetDraft, LoadBalancerDraft } from './draft.ts';
import { at, type Field, request } from './field.ts';
import { applyEdits, type PoolEdits, parseEdits } from './member-edits.ts';
import type { Configuration, LoadBalancer } from './model.ts';
import { parseName, quoted } from './names.ts';
import { originOf } from './origin.ts';
import { type LoadBalancerPart, type ParsedLoadBalancer, parseLoadBalancer } from './parse-load-balancer.ts';
import { checkEdits, checkRules } from './references.ts';
import { collectFindings, type Report } from './report.ts';
import { sharePools } from './share-members.ts';

/** What a new gateway runs. */
export const emptyConfiguration: Configuration = PersistentMap<string, LoadBalancer>();

/**
 * The configuration after a change. A change that says only what is already so has no `changed`, and `after` is
 * `current` itself. Throws a `Refusal` with all offenders; costs nothing for load balancers that it does not name.
 */
export function applyChangeSet(
  current: Configuration,
  draft: ChangeSetDraft,
  abilities: Abilities = everyAbility,
): ConfigurationChange {
  const findings = collectFindings();
  const { report } = findings;
  const puts = parsePuts(draft, current, report);
  const deletes = parseDeletes(draft, current, puts, report);
  const edits = parseEdits(draft, report);
  checkEdited(edits, current, puts, deletes, report);
  const change = settle(current, puts, deletes, edits, abilities, report);
  findings.refuseIfAny();
  return change;
}

/**
 * The configuration that consists of `drafts` alone; what they do not name goes. Drafts of one name are parts of one
 * load balancer. Throws a `Refusal` with all offenders.
 */
export function replaceConfiguration(
  current: Configuration,
  drafts: readonly LoadBalancerDraft[],
): ConfigurationChange {
  const steps = replaceConfigurationInSteps(current, drafts);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The same, with a pause after each load balancer in which the caller may let other work have a turn. */
export function* replaceConfigurationInSteps(
  current: Configuration,
  drafts: readonly LoadBalancerDraft[],
  abilities: Abilities = everyAbility,
): Generator<void, ConfigurationChange, void> {
  const findings = collectFindings();
  const { report } = findings;
  const parts = new Map<string, LoadBalancerPart[]>();
  for (const [index, draft] of drafts.entries()) {
    const part = { draft, field: at(request, 'load_balancers', index) };
    const name = parseName(draft.name, at(part.field, 'name'), report);
    if (name === undefined) parseLoadBalancer('', [part], undefined, report);
    else if (parts.get(name)?.push(part) === undefined) parts.set(name, [part]);
  }
  const puts = new Map<string, ParsedLoadBalancer>();
  for (const [name, list] of parts) {
    puts.set(name, parseLoadBalancer(name, list, current.get(name), report));
    yield;
  }
  const deletes = new Map<string, Field>();
  for (const name of current.keys()) if (!parts.has(name)) deletes.set(name, request);
  const change = settle(current, puts, deletes, new Map(), abilities, report);
  findings.refuseIfAny();
  return change;
}

type Puts = ReadonlyMap<string, ParsedLoadBalancer>;
type Deletes = ReadonlyMap<string, Field>;

function parsePuts(draft: ChangeSetDraft, current: Configuration, report: Report): Puts {
  const puts = new Map<string, ParsedLoadBalancer>();
  for (const [index, loadBalancer] of (draft.putLoadBalancers ?? []).entries()) {
    const field = at(request, 'put_load_balancers', index);
    const name = parseName(loadBalancer.name, at(field, 'name'), report);
    const previous = name === undefined ? undefined : current.get(name);
    const parsed = parseLoadBalancer(name ?? '', [{ draft: loadBalancer, field }], previous, report);
    if (name === undefined) continue;
    if (puts.has(name)) {
      const fault = `load balancer ${name} is put twice in the change: put it once`;
      report(at(field, 'name'), 'NAME_DUPLICATE', fault);
    } else puts.set(name, parsed);
  }
  return puts;
}

function parseDeletes(draft: ChangeSetDraft, current: Configuration, puts: Puts, report: Report): Deletes {
  const deletes = new Map<string, Field>();
  for (const [index, name] of (draft.deleteLoadBalancers ?? []).entries()) {
    const field = at(request, 'delete_load_balancers', index);
    if (name === '') report(field, 'FIELD_REQUIRED', 'the name of a load balancer is required');
    else if (deletes.has(name)) report(field, 'NAME_DUPLICATE', `${name} is deleted twice: delete it once`);
    else if (puts.has(name)) {
      report(field, 'FIELDS_CONFLICT', `${name} is also put by this change: put it or delete it`);
    } else if (!current.has(name)) {
      report(field, 'NOT_FOUND', `there is no load balancer ${quoted(name)}: nothing to delete`);
    } else deletes.set(name, field);
  }
  return deletes;
}

function checkEdited(
  edits: PoolEdits,
  current: Configuration,
  puts: Puts,
  deletes: Deletes,
  report: Report,
): void {
  for (const [name, byPool] of edits) {
    if (puts.has(name) || (current.has(name) && !deletes.has(name))) continue;
    const fault = deletes.has(name)
      ? `load balancer ${name} is deleted by this change: its members go with it`
      : `there is no load balancer ${quoted(name)}: put it first`;
    for (const edit of byPool.values()) report(at(edit.field, 'load_balancer'), 'NOT_FOUND', fault);
  }
}

/** Puts the pieces together, and checks what can only be seen when all of them are known. */
function settle(
  current: Configuration,
  puts: Puts,
  deletes: Deletes,
  edits: PoolEdits,
  abilities: Abilities,
  report: Report,
): ConfigurationChange {
  const changed = new Map<string, ChangedLoadBalancer>();
  const claimants: Claimant[] = [];
  for (const name of new Set([...puts.keys(), ...edits.keys()])) {
    const parsed = puts.get(name);
    const before = deletes.has(name) ? undefined : current.get(name);
    const base = parsed?.loadBalancer ?? before;
    if (base === undefined) continue;
    const own = edits.get(name);
    const edited = own === undefined ? base : applyEdits(base, parsed?.poolNames, own, report);
    const isPutAndEdited = parsed !== undefined && own !== undefined && before !== undefined;
    const after = isPutAndEdited ? sharePools(before, edited) : edited;
    if (parsed !== undefined) {
      checkRules(parsed, after, own, report);
      checkAbilities(parsed.balancingRules, abilities, report);
      claimants.push({ parsed, after, ...(before === undefined ? {} : { before }) });
    }
    if (own !== undefined) checkEdits(after, own, report);
    if (after === before) continue;
    const nearest = parsed?.parts[0]?.field ?? own?.values().next().value?.field ?? request;
    const origin = originOf(parsed, own, nearest);
    changed.set(name, { name, after, origin, ...(before === undefined ? {} : { before }) });
  }
  for (const [name, field] of deletes) {
    const before = current.get(name);
    if (before !== undefined)
      changed.set(name, { name, before, origin: originOf(undefined, undefined, field) });
  }
  checkClaims(claimants, current, new Set(deletes.keys()), report);
  return { before: current, after: replaceIn(current, changed), changed };
}

function replaceIn(current: Configuration, changed: ReadonlyMap<string, ChangedLoadBalancer>): Configuration {
  const after = current.withMutations((entries) => {
    for (const { name, after: next } of changed.values()) {
      if (next === undefined) entries.delete(name);
      else entries.set(name, next);
    }
  });
  carryAddressIndex(current, after, changed.values());
  return after;
}
