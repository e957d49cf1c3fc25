// In which order packets of many flows come: by chance, and yet the same in every run.

/** The numbers below `count`, shuffled (Fisher and Yates). */
export function shuffled(count: number): Uint32Array {
  const numbers = Uint32Array.from({ length: count }, (_, index) => index);
  let state = 0x9e3779b9;
  for (let last = count - 1; last > 0; last -= 1) {
    // xorshift32 (Marsaglia 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const other = (state >>> 0) % (last + 1);
    const number = numbers[last] ?? 0;
    numbers[last] = numbers[other] ?? 0;
    numbers[other] = number;
  }
  return numbers;
}
