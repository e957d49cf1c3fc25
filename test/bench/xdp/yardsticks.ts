// Fills the maps of programs/plain.bpf.c with the same mappings as Penstock's.
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import { backendPort } from '../declaration.ts';
import { mappingPlace } from './tables.ts';

const protocol = 6;

/** `count` mappings of TCP, in both maps. */
export function fillPlain(program: LoadedProgram, count: number): void {
  const [mappings, versions] = [program.elements('mappings'), program.elements('versions')];
  const key = Buffer.alloc(8);
  const machine = Buffer.alloc(8);
  /** struct versioned: key, epoch, current, previous. */
  const versioned = Buffer.alloc(32);
  for (let number = 0; number < count; number += 1) {
    const place = mappingPlace(number);
    key.writeUInt32BE(place.address, 0);
    key.writeUInt16BE(place.port, 4);
    key.writeUInt8(protocol, 6);
    machine.writeUInt32BE(place.machine, 0);
    machine.writeUInt16BE(backendPort, 4);
    mappings.put(key, machine);
    key.copy(versioned, 0);
    versioned.writeBigUInt64LE(1n, 8);
    machine.copy(versioned, 16);
    versions.put(key, versioned);
  }
}
