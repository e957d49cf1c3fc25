// What a kernel answers that cannot be had here: Linux before 6.4, which keeps the flows of a flowtable for a while.
import { expect, it } from 'vitest';
import { attribute, type Message, messages, messageType, nest, u16, u32 } from '../netlink/netlink.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { address, endpoint } from '../nftables/testing/tables.ts';
import { flowsOver } from './flows.ts';
import { conntrackAttribute, conntrackMessage } from './tuple.ts';

const EBUSY = 16;
const marks = {
  ours: 0x50000000,
  nat: 0x50000000,
  natAnyPort: 0x51000000,
  balanced: 0x54000000,
  balancedAnyPort: 0x58000000,
  outbound: 0x5c000000,
};

/** A translated flow of a client's port, as a dump tells it. */
function flowFrom(port: number): Buffer {
  const tuple = (kind: number, source: readonly number[], to: readonly number[], ports: readonly number[]) =>
    nest(
      kind,
      nest(1, attribute(1, Buffer.from(source)), attribute(2, Buffer.from(to))),
      nest(
        2,
        attribute(1, Buffer.of(17)),
        attribute(2, u16(ports[0] ?? 0)),
        attribute(3, u16(ports[1] ?? 0)),
      ),
    );
  const [client, front, machine] = [
    [192, 0, 2, 1],
    [203, 0, 113, 1],
    [10, 0, 0, 1],
  ] as const;
  return Buffer.concat([
    tuple(conntrackAttribute.original, client, front, [port, 500]),
    tuple(conntrackAttribute.reply, machine, client, [80, port]),
    attribute(conntrackAttribute.status, u32(0x20)),
    attribute(conntrackAttribute.mark, u32(marks.nat)),
    attribute(conntrackAttribute.id, u32(port)),
  ]);
}

/** A kernel with flows, each of which is busy so often when it shall go. Tells how many were asked to go. */
function kernelWith(flows: Map<number, number>): { readonly socket: NetlinkSocket; deletions: number } {
  let sequence = 0;
  const plain = { interrupted: false, body: Buffer.alloc(0) };
  const kernel = {
    deletions: 0,
    socket: {
      nextSequence: () => (sequence += 1),
      async exchangeAsync(requests: Buffer, _: number, onMessage: (message: Message) => void) {
        for (const { type, sequence: asked, body } of messages(requests)) {
          if ((type & 0xff) === conntrackMessage.get) {
            for (const port of flows.keys())
              onMessage({ ...plain, type: 0, sequence: asked, body: flowFrom(port) });
            onMessage({ ...plain, type: messageType.done, sequence: asked });
            continue;
          }
          kernel.deletions += 1;
          const port = [...flows.keys()].find((each) =>
            body.includes(attribute(conntrackAttribute.id, u32(each))),
          );
          const busy = flows.get(port ?? 0) ?? 0;
          if (busy === 0) flows.delete(port ?? 0);
          else flows.set(port ?? 0, busy - 1);
          onMessage({ ...plain, type: messageType.error, sequence: asked, errno: busy === 0 ? 0 : EBUSY });
        }
      },
      exchange() {},
      join() {},
      drain: () => true,
      close() {},
    },
  };
  return kernel;
}

const selection = {
  kind: 'nat',
  endpoint: endpoint('203.0.113.1', 'udp', 500),
  backend: address('10.0.0.1'),
} as const;

it('asks again for flows that the kernel does not let go of yet, and only for those', async () => {
  const flows = new Map([
    [1000, 0],
    [1001, 2],
    [1002, 1],
  ]);
  const kernel = kernelWith(flows);
  await flowsOver(kernel.socket, marks).end([selection]);
  expect([...flows.keys()]).toEqual([]);
  expect(kernel.deletions).toBe(3 + 2 + 1);
});

it('says so when it never lets go', async () => {
  const flows = new Map([[1000, Number.POSITIVE_INFINITY]]);
  await expect(flowsOver(kernelWith(flows).socket, marks).end([selection])).rejects.toThrow(/EBUSY/);
});
