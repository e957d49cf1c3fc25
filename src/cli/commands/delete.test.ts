import { describe, expect, it } from 'vitest';
import { commandUnderTest } from '../testing/command-under-test.ts';

const cli = commandUnderTest();

describe('delete', () => {
  it('deletes by name and by file, each once', async () => {
    expect((await cli.penstock(['delete', 'lb', 'a', 'b', '-f', '-'], 'name: b\n---\nname: c')).code).toBe(0);
    expect(cli.gateway.applied[0]?.changes.deleteLoadBalancers).toEqual(['a', 'b', 'c']);
  });

  it.each([[['lb']], [['pool', 'a']], [[]]])('does not take %j', async (args) => {
    expect((await cli.penstock(['delete', ...args])).code).toBe(2);
  });
});
