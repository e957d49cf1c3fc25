// The agent's own writer, on the memory of a loaded program.

import { randomInt } from 'node:crypto';
import { gracePeriod } from '../../../src/dataplane/xdp/kernel/grace.ts';
import type { LoadedProgram } from '../../../src/dataplane/xdp/kernel/program.ts';
import type { Settings } from '../../../src/dataplane/xdp/kernel/settings.ts';
import { Image } from '../../../src/dataplane/xdp/memory/image.ts';
import { type MapName, type Memory, mapNames } from '../../../src/dataplane/xdp/memory/map-memory.ts';
import { entriesOf, type Shape } from '../../../src/dataplane/xdp/memory/shape.ts';
import { settingsOf as agentSettings } from '../../../src/dataplane/xdp/settings.ts';

/** Small, but with more than one place of everything; a shard for each of two processors. */
export const shape: Shape = {
  frontends: 1024,
  backends: 1024,
  machines: 256,
  rings: 64,
  members: 128,
  slots: 16_384,
  rows: 1024,
  shards: 2,
  addresses: 1024,
  flows: 64,
  seen: 1024,
};

/** `max_entries` of the maps whose size can be chosen. */
export function mapEntries(of: Shape = shape): Readonly<Record<string, number>> {
  const { control, routes, contested, devices, ...sizes } = entriesOf(of);
  return sizes;
}

/** As the agent sets them. */
export function settingsOf(of: Shape = shape): Settings {
  return agentSettings(of, 0);
}

export function memoryOf(program: LoadedProgram): Memory {
  const named = mapNames.map((name) => [name, program.memory(name)] as const);
  return Object.fromEntries(named) as Readonly<Record<string, Memory[MapName]>> as Memory;
}

export async function openImage(program: LoadedProgram, of: Shape = shape): Promise<Image> {
  const memory = memoryOf(program);
  Image.format(memory, randomInt(2 ** 31));
  return await Image.attach(memory, { shards: of.shards, gracePeriod });
}
