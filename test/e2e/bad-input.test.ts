// Whatever is wrong with a request, a real agent says what, and nothing of it is on disk, in the kernel or on the host.
import { readFile } from 'node:fs/promises';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChangeSetDraft } from '../../src/resources/draft.ts';
import { type RefusalKind, reasons } from '../../src/resources/refusal.ts';
import type { GatewayClient, Message } from '../../src/wire/client.ts';
import { base, invalidChanges } from '../invalid/changes.ts';
import { Lab } from '../lab/lab.ts';
import { collectEvidence, type Evidence } from './support/evidence.ts';
import { connect, failureOf } from './support/gateway.ts';
import { callRaw, streamRaw } from './support/raw-calls.ts';

const statuses: Readonly<Record<RefusalKind, status>> = {
  invalid: status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  precondition: status.FAILED_PRECONDITION,
  conflict: status.ABORTED,
  exhausted: status.RESOURCE_EXHAUSTED,
  unsupported: status.UNIMPLEMENTED,
};

let lab: Lab;
let client: GatewayClient;
let untouched: Evidence;

beforeAll(async () => {
  lab = await Lab.up({ name: `e2e-bad-input-${process.pid}`, backends: 0, agent: true });
  client = connect(lab);
  await client.apply({ changes: toWire(base) });
  untouched = await collectEvidence(lab, client);
});

afterAll(async () => {
  client?.close();
  await lab?.down();
});

/** The same value; messages to send are declared as mutable. */
function toWire(changes: ChangeSetDraft): Message<'ChangeSet'> {
  return structuredClone(changes) as Message<'ChangeSet'>;
}

/** Does something, and proves that it left no trace. */
async function tracelessly<T>(act: () => Promise<T>): Promise<T> {
  const result = await act();
  expect(await collectEvidence(lab, client)).toEqual(untouched);
  return result;
}

/** A load balancer that would be taken; LOCAL, so that it would also leave an address on the host. */
function acceptable(name: string): Message<'LoadBalancer'> {
  return {
    name,
    frontends: [{ name: 'front', address: '203.0.113.77' }],
    inboundNatRules: [
      {
        name: 'one',
        frontend: 'front',
        protocol: 1,
        backendPort: 22,
        single: { frontendPort: 22, address: '10.0.0.4' },
      },
    ],
  };
}

describe('a change that must be refused', () => {
  it.each(invalidChanges)('$title', async ({ request, reason, fields }) => {
    const failure = await tracelessly(() => failureOf(client.apply({ changes: toWire(request) })));
    expect(failure.codeName).toBe(status[statuses[reasons[reason]]]);
    expect(failure.reason).toBe(reason);
    expect(failure.metadata.violations_total).toMatch(/^[1-9]\d*$/);
    expect([...new Set(failure.violations.map(({ field }) => field))].toSorted()).toEqual(fields.toSorted());
    for (const violation of failure.violations) expect(violation.reason).toBe(reason);
  });
});

const encoder = new TextEncoder();

/** A field of wire type 2: a text or a message. */
function field(number: number, content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === 'string' ? encoder.encode(content) : content;
  if (bytes.length > 127) throw new RangeError('one byte of length only');
  return Uint8Array.of((number << 3) | 2, bytes.length, ...bytes);
}

describe('bytes that are no message', () => {
  const named = (name: Uint8Array): Uint8Array => field(1, field(1, field(1, name)));
  it.each<[string, Uint8Array]>([
    ['random bytes', Uint8Array.from({ length: 200 }, (_, index) => (index * 151 + 87) % 256)],
    ['cut off in the middle', field(1, field(1, field(1, 'web'))).slice(0, -2)],
    ['a length beyond the end', Uint8Array.of(0x0a, 0x7f, 0x0a)],
    ['a varint without an end', new Uint8Array(40).fill(0xff)],
    ['a number where a message is due', Uint8Array.of(0x08, 0x96, 0x01, 0x0b)],
    ['an end of a group that never began', Uint8Array.of(0x0c)],
    ['groups in groups without end', new Uint8Array(200_000).fill(0x0b)],
    ['field number 0', Uint8Array.of(0x00, 0x00)],
    ['wire type 7', Uint8Array.of(0x0f, 0x01)],
    ['a name that is not UTF-8', named(Uint8Array.of(0xff, 0xfe, 0x80))],
  ])('%s', async (_, bytes) => {
    for (const send of [
      () => callRaw(lab.address, 'Apply', bytes),
      () => streamRaw(lab.address, 'ReplaceAll', [bytes]),
    ]) {
      const failure = await tracelessly(() => failureOf(send()));
      expect(failure.codeName).toBe('INVALID_ARGUMENT');
      expect(failure.reason).toMatch(/^(REQUEST_INVALID|NAME_INVALID|FIELD_REQUIRED)$/);
    }
  });

  it('a message over 4 MB', async () => {
    const name = 'x'.repeat(5 * 1024 * 1024);
    const failure = await tracelessly(() =>
      failureOf(client.apply({ changes: { putLoadBalancers: [{ name }] } })),
    );
    expect(failure.codeName).toBe('RESOURCE_EXHAUSTED');
  });

  it('a chunk over 4 MB, after good ones', async () => {
    const large = { loadBalancers: [{ name: 'x'.repeat(5 * 1024 * 1024) }] };
    const chunks = [{ loadBalancers: [acceptable('a')] }, large, { commit: {} }];
    const failure = await tracelessly(() => failureOf(client.replaceAll(chunks)));
    expect(failure.codeName).toBe('RESOURCE_EXHAUSTED');
  });

  it.each(['Nothing', 'apply', ''])('method "%s" that there is not', async (method) => {
    const failure = await tracelessly(() => failureOf(callRaw(lab.address, method, new Uint8Array())));
    expect(failure.codeName).toBe('UNIMPLEMENTED');
  });
});

describe('ReplaceAll changes nothing', () => {
  const good = { loadBalancers: [acceptable('a')] };

  it.each<[string, Message<'ReplaceAllRequest'>[], string, string]>([
    ['without any chunk', [], 'INVALID_ARGUMENT', 'REQUEST_INVALID'],
    ['without a commit', [good, good], 'INVALID_ARGUMENT', 'REQUEST_INVALID'],
    ['with a chunk after the commit', [{ ...good, commit: {} }, good], 'INVALID_ARGUMENT', 'REQUEST_INVALID'],
    ['with two commits', [{ commit: {} }, { commit: {} }], 'INVALID_ARGUMENT', 'REQUEST_INVALID'],
    ['with a stale revision', [good, { commit: { expectedRevision: 77 } }], 'ABORTED', 'STALE_REVISION'],
    [
      'with one name twice in a chunk',
      [{ loadBalancers: [acceptable('a'), acceptable('a')] }, { commit: {} }],
      'INVALID_ARGUMENT',
      'NAME_DUPLICATE',
    ],
    [
      'with one bad rule among good ones',
      [good, { loadBalancers: [{ name: 'b', frontends: [{ name: 'f', address: 'nowhere' }] }], commit: {} }],
      'INVALID_ARGUMENT',
      'ADDRESS_INVALID',
    ],
    [
      'with two that claim one port',
      [{ loadBalancers: [acceptable('a'), acceptable('b')] }, { commit: {} }],
      'FAILED_PRECONDITION',
      'FRONTEND_PORT_OVERLAP',
    ],
  ])('%s', async (_, chunks, code, reason) => {
    const failure = await tracelessly(() => failureOf(client.replaceAll(chunks)));
    expect([failure.codeName, failure.reason]).toEqual([code, reason]);
  });

  it('with bytes that are no chunk, after good ones', async () => {
    const chunk = field(1, field(1, 'a'));
    const call = () => streamRaw(lab.address, 'ReplaceAll', [chunk, Uint8Array.of(0x0a, 0x7f), chunk]);
    const failure = await tracelessly(() => failureOf(call()));
    expect([failure.codeName, failure.reason]).toEqual(['INVALID_ARGUMENT', 'REQUEST_INVALID']);
  });

  it('when the client gives up in the middle', async () => {
    const giveUp = new AbortController();
    const chunks = async function* () {
      yield good;
      giveUp.abort();
      yield { commit: {} };
    };
    const failure = await tracelessly(() =>
      failureOf(client.replaceAll(chunks(), { signal: giveUp.signal })),
    );
    expect(failure.codeName).toBe('CANCELLED');
  });

  it('when the source of its chunks breaks', async () => {
    const chunks = async function* () {
      yield good;
      throw new RangeError('the disk is gone');
    };
    await tracelessly(() => expect(client.replaceAll(chunks())).rejects.toThrow('the disk is gone'));
  });

  it('as a dry run', async () => {
    const { plan, revision } = await tracelessly(() =>
      client.replaceAll([good, { commit: { validateOnly: true } }]),
    );
    expect(revision).toBe(1);
    expect(plan?.assignedTotal).toBe(1);
    expect(plan?.releasedTotal).toBeGreaterThan(1);
  });
});

describe('Apply changes nothing', () => {
  it('with a stale revision, which it tells', async () => {
    const changes = { putLoadBalancers: [acceptable('a')] };
    const failure = await tracelessly(() => failureOf(client.apply({ changes, expectedRevision: 41 })));
    expect([failure.codeName, failure.reason]).toEqual(['ABORTED', 'STALE_REVISION']);
    expect(failure.metadata).toMatchObject({ current: '1', expected: '41' });
    expect(failure.violations.map(({ field }) => field)).toEqual(['expected_revision']);
  });

  it('as a dry run', async () => {
    const changes = { putLoadBalancers: [acceptable('a')] };
    const { plan } = await tracelessly(() => client.apply({ changes, validateOnly: true, requestId: 'dry' }));
    expect(plan?.assigned).toMatchObject([{ frontendAddress: '203.0.113.77', frontendPort: 22 }]);
  });

  it('as a dry run of what would be refused', async () => {
    const changes = { putLoadBalancers: [acceptable('a'), acceptable('b')] };
    const failure = await tracelessly(() => failureOf(client.apply({ changes, validateOnly: true })));
    expect(failure.reason).toBe('FRONTEND_PORT_OVERLAP');
  });

  it.each<[string, Message<'ApplyRequest'>]>([
    ['without changes', {}],
    ['with what is there already', { changes: toWire(base) }],
  ])('%s', async (_, request) => {
    expect((await tracelessly(() => client.apply(request))).revision).toBe(1);
  });

  it('with a good part beside a bad one', async () => {
    const changes = { putLoadBalancers: [acceptable('a')], deleteLoadBalancers: ['nobody'] };
    const failure = await tracelessly(() => failureOf(client.apply({ changes })));
    expect([failure.codeName, failure.reason]).toEqual(['NOT_FOUND', 'NOT_FOUND']);
  });
});

describe('a question that cannot be meant', () => {
  it.each<[Message<'ListPortMappingsRequest'>, string]>([
    [{ frontendAddress: 'nowhere' }, 'frontend_address'],
    [{ memberAddress: '10.0.0' }, 'member_address'],
    [{ frontendPort: 65_536 }, 'frontend_port'],
  ])('%o', async (request, fieldName) => {
    const failure = await tracelessly(() => failureOf(Array.fromAsync(client.listPortMappings(request))));
    expect(failure.codeName).toBe('INVALID_ARGUMENT');
    expect(failure.violations.map(({ field }) => field)).toEqual([fieldName]);
  });

  it('names what this version does not have', async () => {
    const failure = await tracelessly(() => failureOf(streamRaw(lab.address, 'Sync', [new Uint8Array()])));
    expect([failure.codeName, failure.reason]).toEqual(['UNIMPLEMENTED', 'FEATURE_UNSUPPORTED']);
  });

  it('names a load balancer that there is not', async () => {
    const failure = await tracelessly(() =>
      failureOf(Array.fromAsync(client.listLoadBalancers({ name: 'nobody' }))),
    );
    expect([failure.codeName, failure.reason]).toEqual(['NOT_FOUND', 'NOT_FOUND']);
  });
});

describe('a file with a mistake', () => {
  it.each<[string, string, RegExp]>([
    ['no YAML', 'name: [', /:1|:2/],
    ['a word that is no field', 'name: a\nfrontend: []\n', /frontends/],
    [
      'a word that is no value',
      'name: a\nfrontends:\n  - { name: f, address: 10.0.0.1, addressOwnership: MINE }\n',
      /:3.*MINE/s,
    ],
    ['a text for a number', 'name: a\ninboundNatRules:\n  - { name: n, backendPort: many }\n', /:3/],
    [
      'a number that is too large',
      'name: a\ninboundNatRules:\n  - { name: n, backendPort: 99999999999 }\n',
      /:3/,
    ],
    ['a list for a text', 'name: [a]\n', /:1/],
    ['both of one kind', 'name: a\ninboundNatRules:\n  - { name: n, single: {}, pool: {} }\n', /:3/],
    ['nothing at all', '', /./],
  ])('%s: exit status 2, the place, and nothing sent', async (_, input, message) => {
    const log = await readFile(lab.agentLog, 'utf8');
    const result = await tracelessly(() => lab.penstock(['apply', '-f', '-'], { input, reject: false }));
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toMatch(message);
    // A call would be logged as refused.
    expect(await readFile(lab.agentLog, 'utf8')).toBe(log);
  });

  it('whose mistake only the agent can see: exit status 1, with the line', async () => {
    const input = 'name: a\nfrontends:\n  - name: f\n    address: nowhere\n';
    const result = await tracelessly(() => lab.penstock(['apply', '-f', '-'], { input, reject: false }));
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('ADDRESS_INVALID');
    expect(result.stderr).toContain(':4');
  });
});
