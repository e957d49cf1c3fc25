// The fast path where the kernel may lack it: it says so, and everything works as without. What it does where there is one
// is shown by test/guest/flowtable.
import { execa } from 'execa';
import { expect, it } from 'vitest';
import { gatewayUnderTest } from './testing/gateway.ts';
import { endpoint, nat, table, unchanged } from './testing/tables.ts';

const front = '203.0.113.1';
const gateway = gatewayUnderTest(2, { flowtable: 'auto' });

/** By the shortest ruleset that needs one. */
async function kernelTakesFlowtable(): Promise<boolean> {
  const { exitCode } = await execa('nft', ['-c', '-f', '-'], {
    input:
      'table inet trial {\n flowtable f { hook ingress priority 0; devices = { machines }; }\n' +
      ' chain c { type filter hook forward priority 0; flow add @f; }\n}\n',
    reject: false,
  });
  return exitCode === 0;
}

it('says in the kernel’s words whether it is there, and mappings work as without', async () => {
  const { lab, plane, stamp, knock } = gateway;
  const entry = nat(endpoint(front, 'tcp', 501), '10.1.0.1', 8080);
  await plane.load(table([entry]), stamp());
  expect((await plane.report()).notes[0]).toMatch(/^the flowtable fast path comes back within two seconds/);
  expect(await plane.verify()).toEqual({ kind: 'intact' });
  expect(await plane.verify()).toEqual({ kind: 'intact' });
  const note = (await kernelTakesFlowtable())
    ? /^established flows take the flowtable fast path on machines, toclient; /
    : /^no flowtable fast path: the kernel or nft refuses a flowtable \(Could not process rule: .+\)$/;
  expect((await plane.report()).notes).toEqual([expect.stringMatching(note)]);

  expect(await knock('tcp', front, 501)).toBe('m1:8080');
  const moved = nat(entry.endpoint, '10.1.0.2', 8080);
  const change = { ...unchanged, replaced: [{ before: entry, after: moved }] };
  await plane.commit({ ...change, backendsAdded: [moved.target.address] }, stamp());
  expect(await knock('tcp', front, 501)).toBe('m2:8080');
  await lab.client.connect('flow', 'tcp', front, 501);
  const back = { ...unchanged, replaced: [{ before: moved, after: entry }] };
  const ending = [{ kind: 'nat', endpoint: moved.endpoint, backend: moved.target.address }] as const;
  await plane.commit({ ...back, ending }, stamp());
  await expect(lab.client.ask('flow')).rejects.toThrow();
  expect(await knock('tcp', front, 501)).toBe('m1:8080');
  expect(await plane.verify()).toEqual({ kind: 'intact' });
});
