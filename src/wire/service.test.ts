// What the generated code promises in its types, and grpc-js needs.
import { expect, test } from 'vitest';
import { penstock } from './generated/proto.js';
import { gatewayService } from './service.ts';

test('64-bit values are numbers, absent or not', () => {
  const { WatchRequest } = penstock.v1;
  expect(WatchRequest.decode(new Uint8Array()).afterRevision).toBe(0);
  const large = Number.MAX_SAFE_INTEGER;
  expect(WatchRequest.decode(WatchRequest.encode({ afterRevision: large }).finish()).afterRevision).toBe(
    large,
  );
});

test('a request that cannot be read is told apart without a throw', () => {
  const { requestSerialize, requestDeserialize } = gatewayService.apply;
  const bytes = requestSerialize({ requestId: 'r1' });
  expect(requestDeserialize(bytes)).toMatchObject({
    kind: 'message',
    bytes: 4,
    message: { requestId: 'r1' },
  });
  expect(requestDeserialize(bytes.subarray(0, 3))).toMatchObject({ kind: 'unreadable' });
});
