// What a floating address cannot go together with; that each is refused alone, test/invalid has.
import { describe, expect, it } from 'vitest';
import type { FlowOptionsDraft } from './draft.ts';
import { at, pathOf, request } from './field.ts';
import { parseFlow } from './parse-flow.ts';
import type { Reason } from './refusal.ts';

function parse(draft: FlowOptionsDraft, kind: 'nat' | 'balanced' = 'balanced') {
  const refused: [string, Reason][] = [];
  const parsed = parseFlow(draft, kind, 'tcp', at(request, 'flow'), (field, reason) => {
    refused.push([pathOf(field), reason]);
  });
  return { parsed, refused };
}

describe('a floating address', () => {
  it('goes to a neighbour, unless it is encapsulated', () => {
    expect(parse({ floatingIp: true }).parsed).toEqual({ sourceNat: 'none', floating: 'neighbour' });
    expect(parse({ floatingIp: true, encapsulation: 1 }).parsed?.floating).toBe('neighbour');
    expect(parse({ floatingIp: true, encapsulation: 2 }).parsed?.floating).toBe('ipip');
    expect(parse({ encapsulation: 1 }).parsed).toEqual({ sourceNat: 'none' });
  });

  it('is refused with all that it cannot go together with at once', () => {
    const draft = { floatingIp: true, sourceNat: 2, tcpReset: true, idleTimeout: { seconds: 5 } };
    expect(parse(draft, 'nat')).toEqual({
      parsed: undefined,
      refused: [
        ['flow.floating_ip', 'FEATURE_UNSUPPORTED'],
        ['flow.source_nat', 'FIELDS_CONFLICT'],
        ['flow.tcp_reset', 'FIELDS_CONFLICT'],
        ['flow.idle_timeout', 'FIELDS_CONFLICT'],
      ],
    });
  });
});
