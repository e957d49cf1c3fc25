import { describe, expect, it } from 'vitest';
import { ruleCount, setDefinitions, skeletonText } from './skeleton.ts';

describe('the skeleton', () => {
  const text = skeletonText('penstock');

  it('defines every set and chain that its rules name, once', () => {
    const sets = setDefinitions.map(({ name }) => name);
    expect(new Set(sets).size).toBe(sets.length);
    for (const [, name] of text.matchAll(/@(\w+)/g)) expect(sets).toContain(name);
    const chains = [...text.matchAll(/chain (\w+)/g)].map(([, name]) => name);
    expect(new Set(chains).size).toBe(chains.length);
    for (const [, name] of text.matchAll(/(?:goto|jump) (\w+)/g)) expect(chains).toContain(name);
  });

  it('reads every set but the stamp', () => {
    const read = new Set([...text.matchAll(/@(\w+)/g)].map(([, name]) => name));
    const unread = setDefinitions.filter(({ name }) => !read.has(name)).map(({ name }) => name);
    // The second is read by the rule that is not in the text.
    expect(unread).toEqual(['stamp', 'outbound_source6']);
  });

  it('has the same number of rules whatever it forwards', () => {
    expect(ruleCount).toBe(text.split('\n').filter((line) => /^ {4}(?!type )/.test(line)).length + 1);
  });
});
