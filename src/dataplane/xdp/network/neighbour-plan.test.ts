import { expect, it } from 'vitest';
import type { IpAddress } from '../../../resources/address.ts';
import type { NeighbourState } from './model.ts';
import { NeighbourPlan } from './neighbour-plan.ts';

const hop = { link: 2, address: '10.0.0.2' as IpAddress };

function round(plan: NeighbourPlan, state: NeighbourState): string | undefined {
  return plan.steps([hop], [{ ...hop, state }])[0]?.what;
}

it.each([
  ['reachable', undefined],
  ['fixed', undefined],
  ['delay', undefined],
  ['probe', undefined],
  ['incomplete', undefined],
  ['stale', 'refresh'],
  ['failed', 'refresh'],
  ['none', 'create'],
] as const)('does about a neighbour that is %s: %s', (state, what) => {
  expect(round(new NeighbourPlan(), state)).toBe(what);
});

it('knows neighbours by their interface', () => {
  const other = { ...hop, link: 3, state: 'reachable' } as const;
  expect(new NeighbourPlan().steps([hop], [other])).toEqual([{ hop, what: 'create' }]);
});

it('asks those that do not answer ever more rarely, and at once again when they have answered', () => {
  const plan = new NeighbourPlan();
  const asked = Array.from({ length: 40 }, (_, i) => (round(plan, 'failed') === undefined ? [] : [i])).flat();
  expect(asked).toEqual([0, 1, 3, 6, 12, 24, 36]);
  expect(round(plan, 'stale')).toBe('refresh');
  expect([round(plan, 'failed'), round(plan, 'failed'), round(plan, 'failed')]).toEqual([
    'refresh',
    'refresh',
    undefined,
  ]);
});

it('forgets those that are not needed any more', () => {
  const plan = new NeighbourPlan();
  for (let i = 0; i < 3; i += 1) round(plan, 'failed');
  plan.steps([], []);
  expect([round(plan, 'failed'), round(plan, 'failed')]).toEqual(['refresh', 'refresh']);
});
