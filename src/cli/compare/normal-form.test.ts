import { describe, expect, it } from 'vitest';
import { normalForm } from './normal-form.ts';

const rule = { name: 'web', protocol: 1, frontendPort: 80, backendPort: 80 };

describe('normalForm', () => {
  it.each([
    ['flow.sourceNat', { flow: { sourceNat: 1 } }, {}],
    ['flow.encapsulation', { flow: { floatingIp: true, encapsulation: 1 } }, { flow: { floatingIp: true } }],
    ['sessionPersistence', { sessionPersistence: 1 }, {}],
    ['noHealthyBackends', { noHealthyBackends: 1 }, {}],
    [
      'limits.newFlowsBurst',
      { limits: { newFlowsPerSecond: 5, newFlowsBurst: 5 } },
      { limits: { newFlowsPerSecond: 5 } },
    ],
  ])('takes what %s means when nothing is said for nothing', (_, said, unsaid) => {
    const of = (more: object) => normalForm({ name: 'shop', loadBalancingRules: [{ ...rule, ...more }] });
    expect(of(said)).toEqual(of(unsaid));
  });

  it('keeps what means something', () => {
    const flow = { floatingIp: true, encapsulation: 2 };
    expect(normalForm({ name: 'shop', loadBalancingRules: [{ ...rule, flow }] })).toMatchObject({
      loadBalancingRules: [{ flow: { floatingIp: true, encapsulation: 'ENCAPSULATION_IPIP' } }],
    });
  });
});
