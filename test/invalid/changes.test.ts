// Every invalid change is refused with the right reason at the right fields, and leaves the state as it was.
import { describe, expect, test } from 'vitest';
import { assignPorts, emptyPorts } from '../../src/ports/assign.ts';
import { assignOutbound } from '../../src/ports/assign-outbound.ts';
import { noOutbound } from '../../src/ports/outbound.ts';
import { applyChangeSet, emptyConfiguration } from '../../src/resources/configuration.ts';
import { Refusal } from '../../src/resources/refusal.ts';
import { base, invalidChanges } from './changes.ts';

const options = { allowRemap: false, now: 1_700_000_000_000 };
const before = applyChangeSet(emptyConfiguration, base);
const { ports } = assignPorts(before, emptyPorts, options);
const { outbound } = assignOutbound(before, noOutbound, options);
const stateBefore = written([before.after, ports, outbound]);

function written(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (part instanceof Map ? [...part] : part));
}

function refusalOf(run: () => unknown): Refusal {
  try {
    run();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('invalid changes', () => {
  test('has a title of its own for each', () => {
    expect(new Set(invalidChanges.map(({ title }) => title)).size).toBe(invalidChanges.length);
    expect(invalidChanges.length).toBeGreaterThanOrEqual(75);
  });

  test.each(invalidChanges)('$title', ({ request, reason, fields }) => {
    const requestBefore = JSON.stringify(request);
    const refusal = refusalOf(() => {
      const change = applyChangeSet(before.after, request);
      assignPorts(change, ports, options);
      assignOutbound(change, outbound, options);
    });
    expect(refusal.reason).toBe(reason);
    expect([...new Set(refusal.violations.map((violation) => violation.field))].toSorted()).toEqual(
      fields.toSorted(),
    );
    for (const violation of refusal.violations) {
      expect(violation.reason).toBe(reason);
      expect(violation.description).not.toBe('');
    }
    expect(written([before.after, ports, outbound])).toBe(stateBefore);
    expect(JSON.stringify(request)).toBe(requestBefore);
  });
});
