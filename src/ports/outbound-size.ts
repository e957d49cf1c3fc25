// How many ports a member gets where its rule does not say: Azure's table, by the size of the pool.

const table: readonly (readonly [members: number, ports: number])[] = [
  [50, 1_024],
  [100, 512],
  [200, 256],
  [400, 128],
  [800, 64],
];
/** Beyond the table, as for its last line. */
const least = 32;

export function defaultPorts(members: number): number {
  return table.find(([most]) => members <= most)?.[1] ?? least;
}
