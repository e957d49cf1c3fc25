// No machine's connections come by two outbound rules, of whatever load balancer.
import { sourceKey, transportsOf } from '../resources/address.ts';
import type { ChangedLoadBalancer } from '../resources/change.ts';
import type { LoadBalancer } from '../resources/model.ts';
import type { Violation } from '../resources/refusal.ts';
import type { Outbound, OutboundOwner } from './outbound.ts';

/** The owners after a change of these load balancers; reports every claim on what another rule has. */
export function ownersAfter(
  changed: readonly ChangedLoadBalancer[],
  before: Outbound['owners'],
  violations: Violation[],
): Outbound['owners'] {
  const sides = changed.map((each) => ({ each, was: sourcesOf(each.before), is: sourcesOf(each.after) }));
  return before.withMutations((owners) => {
    for (const { each, was, is } of sides) {
      for (const [key, owner] of was)
        if (!sameOwner(is.get(key)?.[0], owner[0]) && owners.get(key)?.loadBalancer === each.name)
          owners.delete(key);
    }
    for (const { each, is } of sides) {
      for (const [key, claims] of is) {
        for (const owner of claims) {
          const holder = owners.get(key);
          if (holder === undefined) owners.set(key, owner);
          else if (!sameOwner(holder, owner)) report(each, owner, holder, key, violations);
        }
      }
    }
  });
}

/** All rules that claim a source, the first one first. */
export function sourcesOf(loadBalancer: LoadBalancer | undefined): Map<string, OutboundOwner[]> {
  const sources = new Map<string, OutboundOwner[]>();
  for (const rule of loadBalancer?.outboundRules ?? []) {
    const pool = loadBalancer?.backendPools.find(({ name }) => name === rule.backendPool);
    for (const { id, address } of pool?.members ?? []) {
      for (const transport of transportsOf(rule.protocol)) {
        const key = sourceKey(address, transport);
        const owner = { loadBalancer: loadBalancer?.name ?? '', rule: rule.name, member: id };
        const known = sources.get(key);
        if (known === undefined) sources.set(key, [owner]);
        else known.push(owner);
      }
    }
  }
  return sources;
}

function sameOwner(one: OutboundOwner | undefined, other: OutboundOwner | undefined): boolean {
  return (
    one?.loadBalancer === other?.loadBalancer && one?.rule === other?.rule && one?.member === other?.member
  );
}

function report(
  { after, origin }: ChangedLoadBalancer,
  owner: OutboundOwner,
  holder: OutboundOwner,
  key: string,
  violations: Violation[],
): void {
  const field = origin.outboundRule(owner.rule);
  const reported = violations.some(
    (each) => each.field === field && each.metadata?.other_rule === nameOf(holder),
  );
  if (reported || after === undefined) return;
  violations.push({
    field,
    reason: 'OUTBOUND_OVERLAP',
    description: `outbound rule ${nameOf(owner)} is for what ${key} sends, and so is outbound rule ${nameOf(holder)}: name the machine in one of them`,
    metadata: { rule: nameOf(owner), other_rule: nameOf(holder), source: key },
  });
}

function nameOf({ loadBalancer, rule }: OutboundOwner): string {
  return `${loadBalancer}/${rule}`;
}
