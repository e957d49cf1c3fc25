// Error details survive the way over the wire, and never exceed what C-core clients take.
import { Metadata, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { decodeDetails, type ErrorDetails, encodeError } from './errors.ts';

/** All of a trailers-only response counts towards 8 KiB: names, values, and 32 bytes for each. */
function trailerSize(error: ReturnType<typeof encodeError>): number {
  const headers = {
    ':status': '200',
    'content-type': 'application/grpc+proto',
    'grpc-status': String(error.code),
    'grpc-message': encodeURI(error.details),
    ...error.metadata.toHttp2Headers(),
  };
  return Object.entries(headers).reduce(
    (sum, [name, value]) => sum + name.length + String(value).length + 32,
    0,
  );
}

function violation(index: number, description = 'not an address') {
  return { field: `put_members[0].members[${index}].address`, description, reason: 'ADDRESS_INVALID' };
}

function details(changes: Partial<ErrorDetails> = {}): ErrorDetails {
  return { message: 'no', reason: 'ADDRESS_INVALID', metadata: {}, violations: [], ...changes };
}

test('details come back as they were given', () => {
  const given = details({ metadata: { needed: '3' }, violations: [violation(0), violation(1, 'né')] });
  expect(decodeDetails(encodeError(status.INVALID_ARGUMENT, given).metadata)).toEqual(given);
});

test('a thousand violations fit, and the last entry counts those that are left out', () => {
  const violations = Array.from({ length: 1_000 }, (_, index) => violation(index));
  const error = encodeError(status.INVALID_ARGUMENT, details({ message: '“x”'.repeat(1_000), violations }));
  expect(trailerSize(error)).toBeLessThan(8_192);
  const listed = decodeDetails(error.metadata)?.violations ?? [];
  expect(listed.length).toBeGreaterThan(40);
  expect(listed.slice(0, -1)).toEqual(violations.slice(0, listed.length - 1));
  expect(listed.at(-1)?.description).toBe(`and ${1_000 - listed.length + 1} more`);
});

test('texts of any length and kind are cut to size', () => {
  for (const text of [
    'x'.repeat(100_000),
    '\u{1f600}'.repeat(10_000),
    `${'a'.repeat(478)}\ud83d`,
    '\udc00',
  ]) {
    const violations = [violation(0, text), { field: text, description: text, reason: 'NAME_INVALID' }];
    const metadata = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`key${index}`, text]));
    const error = encodeError(status.INVALID_ARGUMENT, details({ message: text, metadata, violations }));
    expect(trailerSize(error)).toBeLessThan(8_192);
    expect(decodeDetails(error.metadata)?.violations).toHaveLength(2);
  }
});

test('what is not ours is no details', () => {
  const metadata = new Metadata();
  expect(decodeDetails(metadata)).toBeUndefined();
  metadata.set('grpc-status-details-bin', Buffer.from('ffff', 'hex'));
  expect(decodeDetails(metadata)).toBeUndefined();
});
