// The compiler that builds the program compares this folder's layout with bpf/abi.h.
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import * as layout from './layout.ts';

const header = resolve(import.meta.dirname, '../../../../bpf/abi.h');

const structs = {
  control: layout.control,
  target: layout.target,
  frontend: layout.frontend,
  backend: layout.backend,
  next_hop: layout.nextHop,
  machine: layout.machine,
  route: layout.route,
  ring_range: layout.ringRange,
  ring: layout.ring,
  slots: layout.slots,
  member: layout.member,
  counter: layout.counter,
  flow: layout.flow,
  bucket: layout.bucket,
  cells: layout.cells,
  stamps: layout.stamps,
  device: layout.device,
};

const numbers = {
  ABI_VERSION: layout.abiVersion,
  TARGET_NONE: layout.targetKind.none,
  TARGET_NAT: layout.targetKind.nat,
  TARGET_TRACKED: layout.targetKind.tracked,
  TARGET_BALANCED: layout.targetKind.balanced,
  TARGET_HAND_UP: layout.targetKind.handUp,
  TARGET_LEAVE: layout.targetKind.leave,
  TARGET_FLOATING: layout.targetKind.floating,
  TARGET_ENCAPSULATED: layout.targetKind.encapsulated,
  AFFINITY_FIVE_TUPLE: layout.affinityNumber['five-tuple'],
  AFFINITY_CLIENT_IP: layout.affinityNumber['client-ip'],
  AFFINITY_CLIENT_IP_PROTOCOL: layout.affinityNumber['client-ip-protocol'],
  AFFINITY_MACHINE: layout.handedUpMachine,
  PROTOCOL_MACHINE: layout.protocolMachine,
  WAY_EXISTS: layout.way.exists >>> 0,
  WAY_SHARED: layout.way.shared,
  WAY_INDEX: layout.way.index,
  WAY_NOBODY: layout.way.nobody,
  MEMBER_TCP: layout.memberState.tcp,
  MEMBER_UDP: layout.memberState.udp,
  MEMBER_DRAINED: layout.memberState.drained,
  ADDRESS_FRONTEND: layout.addressBit.frontend,
  ADDRESS_MACHINE: layout.addressBit.machine,
  ADDRESS_RING: layout.addressBit.ring,
  FLOW_DIRECT: layout.flowKind.direct,
  FLOW_NAT: layout.flowKind.nat,
  FLOW_BALANCED: layout.flowKind.balanced,
  FLOW_BACK: layout.flowKind.back,
  STATE_EMPTY: layout.flowState.empty,
  STATE_BUSY: layout.flowState.busy,
  STATE_NEW: layout.flowState.fresh,
  STATE_REPLIED: layout.flowState.replied,
  STATE_OPEN: layout.flowState.open,
  STATE_CLOSING: layout.flowState.closing,
  FLOW_WAYS: layout.flowWays,
  ROUTES_MAX: layout.routesMax,
  'DEVICE_MASK + 1': layout.devicesMax,
  'sizeof(((struct slots *)0)->members) / 4': layout.slotsPerUnit,
  'sizeof(struct cells)': layout.cellsPerValue,
  'sizeof(struct stamps) / 2': layout.stampsPerValue,
};

async function compile(lines: readonly string[]): Promise<string> {
  const source = ['#include <linux/types.h>', '#include <stddef.h>', `#include "${header}"`, ...lines].join(
    '\n',
  );
  const run = promisify(execFile)('clang', ['-fsyntax-only', '-xc', '-']);
  run.child.stdin?.end(source);
  return await run.then(
    () => '',
    (error: { readonly stderr?: string }) => error.stderr ?? String(error),
  );
}

test('every size, offset and number is that of the header', async () => {
  const asserted = Object.entries(structs).flatMap(([name, { size, ...fields }]) => [
    `_Static_assert(sizeof(struct ${name}) == ${size}, "size of ${name}");`,
    ...Object.entries(fields).map(
      ([field, offset]) =>
        `_Static_assert(offsetof(struct ${name}, ${field}) == ${offset}, "${name}.${field}");`,
    ),
  ]);
  const valued = Object.entries(numbers).map(
    ([name, value]) => `_Static_assert((${name}) == ${value}u, "${name}");`,
  );
  expect(await compile([...asserted, ...valued])).toBe('');
  expect(await compile(['_Static_assert(sizeof(struct control) == 1, "told");'])).toContain('told');
  expect(layout.stampPlaces[1] + 24).toBeLessThanOrEqual(layout.control.size);
});
