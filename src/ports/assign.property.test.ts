// The allocator's promises, over random histories and against a naive model of them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyChangeSet, emptyConfiguration } from '../resources/configuration.ts';
import type { ChangeSetDraft } from '../resources/draft.ts';
import type { Configuration } from '../resources/model.ts';
import { Refusal } from '../resources/refusal.ts';
import { assignPorts, emptyPorts, noPorts } from './assign.ts';
import type { Ports } from './assignment.ts';
import type { Mapping, MappingChanges } from './mapping.ts';
import { mappingsOf } from './mappings.ts';

interface MemberSpec {
  readonly id: number;
  readonly address: number;
  readonly pin?: number;
}

type Step =
  | { readonly kind: 'put'; readonly members: readonly MemberSpec[] }
  | { readonly kind: 'delete'; readonly ids: readonly number[] }
  | { readonly kind: 'reorder'; readonly by: number }
  | { readonly kind: 'range'; readonly start: number; readonly machines: number; readonly each: number };

interface World {
  readonly members: readonly MemberSpec[];
  readonly start: number;
  readonly machines: number;
  readonly each: number;
}

const memberSpec = fc.record(
  { id: fc.nat(11), address: fc.nat(3), pin: fc.integer({ min: 498, max: 516 }) },
  { requiredKeys: ['id', 'address'] },
);
const step: fc.Arbitrary<{ readonly step: Step; readonly allowRemap: boolean }> = fc.record({
  allowRemap: fc.boolean(),
  step: fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        members: fc.uniqueArray(memberSpec, { minLength: 1, maxLength: 4, selector: ({ id }) => id }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('delete' as const),
        ids: fc.uniqueArray(fc.nat(11), { minLength: 1, maxLength: 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reorder' as const), by: fc.nat(11) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('range' as const),
        start: fc.constantFrom(500, 500, 500, 502),
        machines: fc.integer({ min: 4, max: 12 }),
        each: fc.constantFrom(1, 1, 1, 2),
      }),
    },
  ),
});

/** The world that a step asks for. */
function stepped(world: World, { kind, ...rest }: Step): World {
  const asked = { kind, ...rest } as Step;
  switch (asked.kind) {
    case 'put': {
      const next = new Map(world.members.map((member) => [member.id, member]));
      for (const member of asked.members) next.set(member.id, member);
      return { ...world, members: [...next.values()] };
    }
    case 'delete':
      return { ...world, members: world.members.filter(({ id }) => !asked.ids.includes(id)) };
    case 'reorder': {
      const turn = world.members.length === 0 ? 0 : asked.by % world.members.length;
      return { ...world, members: [...world.members.slice(turn), ...world.members.slice(0, turn)] };
    }
    case 'range':
      return { ...world, start: asked.start, machines: asked.machines, each: asked.each };
  }
}

function memberDraft({ id, address, pin }: MemberSpec) {
  return {
    id: `m${id}`,
    address: `10.0.${id}.${address}`,
    ...(pin === undefined ? {} : { pins: { ssh: pin } }),
  };
}

/** As small a request as says the step: members alone where members alone change. */
function draftOf(before: World, after: World, asked: Step): ChangeSetDraft {
  if (asked.kind === 'put') {
    return {
      putMembers: [{ loadBalancer: 'lb', backendPool: 'pool', members: asked.members.map(memberDraft) }],
    };
  }
  if (asked.kind === 'delete') {
    const ids = asked.ids
      .filter((id) => before.members.some((member) => member.id === id))
      .map((id) => `m${id}`);
    return ids.length === 0 ? {} : { deleteMembers: [{ loadBalancer: 'lb', backendPool: 'pool', ids }] };
  }
  return putDraft(after);
}

function putDraft(world: World): ChangeSetDraft {
  return {
    putLoadBalancers: [
      {
        name: 'lb',
        frontends: [{ name: 'front', address: '203.0.113.1' }],
        backendPools: [{ name: 'pool', members: world.members.map(memberDraft) }],
        inboundNatRules: [
          {
            name: 'ssh',
            frontend: 'front',
            protocol: 1,
            backendPort: 22,
            pool: {
              backendPool: 'pool',
              frontendPortRangeStart: world.start,
              maximumMachines: world.machines,
              portsPerMember: world.each,
            },
          },
        ],
      },
    ],
  };
}

interface Model {
  readonly assigned: ReadonlyMap<number, number>;
  readonly former: ReadonlyMap<number, number>;
}

/** The contract said plainly; `refused` where nothing may change. */
function expected(model: Model, world: World, allowRemap: boolean): Model | 'refused' {
  const slots = Array.from({ length: world.machines }, (_, slot) => world.start + slot * world.each);
  const assigned = new Map<number, number>();
  const free = () => slots.filter((port) => ![...assigned.values()].includes(port));
  for (const { id, pin } of world.members) {
    const had = model.assigned.get(id);
    if (had === undefined) continue;
    const stays = slots.includes(had) && (pin === undefined || pin === had);
    if (!stays && !allowRemap) return 'refused';
    if (stays) assigned.set(id, had);
  }
  const waiting = () => world.members.filter(({ id }) => !assigned.has(id));
  for (const { id, pin } of waiting()) {
    if (pin === undefined) continue;
    if (!free().includes(pin)) return 'refused';
    assigned.set(id, pin);
  }
  for (const { id } of waiting()) {
    const port = [...model.former].find(([, who]) => who === id)?.[0];
    if (!model.assigned.has(id) && port !== undefined && free().includes(port)) assigned.set(id, port);
  }
  for (const { id } of waiting()) {
    const [port] = free();
    if (port === undefined) return 'refused';
    assigned.set(id, port);
  }
  const former = new Map<number, number>();
  const left = [...model.assigned].map(([id, port]) => [port, id] as const);
  for (const [port, id] of [...model.former, ...left]) {
    if (free().includes(port) && !assigned.has(id)) former.set(port, id);
  }
  return { assigned, former };
}

interface State {
  readonly configuration: Configuration;
  readonly ports: Ports;
}

function run(state: State, draft: ChangeSetDraft, allowRemap: boolean, now: number) {
  try {
    const change = applyChangeSet(state.configuration, draft);
    const { ports, changes } = assignPorts(change, state.ports, { allowRemap, now });
    return { state: { configuration: change.after, ports }, changes };
  } catch (error) {
    if (error instanceof Refusal) return 'refused';
    throw error;
  }
}

function mappings({ configuration, ports }: State): readonly Mapping[] {
  const loadBalancer = configuration.get('lb');
  return loadBalancer === undefined ? [] : [...mappingsOf(loadBalancer, ports.get('lb') ?? noPorts)];
}

function portsIn({ ports }: State): ReadonlyMap<number, number> {
  const given = ports.get('lb')?.get('ssh')?.assigned ?? new Map();
  return new Map([...given].map(([id, { port }]) => [Number(id.slice(1)), port]));
}

/** What is there after the changes are played onto what was there before. */
function replayed(before: readonly Mapping[], changes: MappingChanges): readonly string[] {
  const text = ({ since: _, ...mapping }: Mapping) => JSON.stringify(mapping);
  const present = new Set(before.map(text));
  for (const gone of [...changes.released, ...changes.remapped.map((pair) => pair.before)]) {
    expect(present.delete(text(gone))).toBe(true);
  }
  for (const come of [...changes.assigned, ...changes.remapped.map((pair) => pair.after)])
    present.add(text(come));
  return [...present].toSorted();
}

describe('random histories', () => {
  test('go as the contract says', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
        let world: World = { members: [], start: 500, machines: 8, each: 1 };
        let model: Model = { assigned: new Map(), former: new Map() };
        const first = run(
          { configuration: emptyConfiguration, ports: emptyPorts },
          putDraft(world),
          false,
          1,
        );
        if (first === 'refused') throw new Error('the start is valid');
        let { state } = first;
        for (const [index, { step: asked, allowRemap }] of steps.entries()) {
          const wanted = stepped(world, asked);
          const draft = draftOf(world, wanted, asked);
          const says = expected(model, wanted, allowRemap);
          const before = mappings(state);
          const result = run(state, draft, allowRemap, index + 2);
          expect(run(state, draft, allowRemap, index + 2)).toEqual(result);
          expect(mappings(state)).toEqual(before);
          expect(result === 'refused').toBe(says === 'refused');
          if (result === 'refused' || says === 'refused') continue;
          const after = mappings(result.state);
          expect(Object.fromEntries(portsIn(result.state))).toEqual(Object.fromEntries(says.assigned));
          expect([...portsIn(result.state).keys()]).toEqual(wanted.members.map(({ id }) => id));
          const former = result.state.ports.get('lb')?.get('ssh')?.former ?? new Map();
          expect(Object.fromEntries(former)).toEqual(
            Object.fromEntries([...says.former].map(([port, id]) => [port, `m${id}`])),
          );
          expect(new Set(after.map(({ frontendPort }) => frontendPort)).size).toBe(after.length);
          expect(after.length).toBe(wanted.members.length * wanted.each);
          const text = ({ since: _, ...mapping }: Mapping) => JSON.stringify(mapping);
          expect(replayed(before, result.changes)).toEqual(after.map(text).toSorted());
          world = wanted;
          model = says;
          state = result.state;
        }
      }),
      { numRuns: 3000 },
    );
  }, 60_000);
});
