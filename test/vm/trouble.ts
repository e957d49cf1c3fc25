// What stands in the way of a guest, said to a person.

/** A message that says what is wrong and what to do about it. */
export class Trouble extends Error {
  /** The runner's own failures, as docker-run(1) and env(1) have it. */
  readonly status: number = 125;
  override readonly name: string = 'Trouble';
}

/** The guest was ended because it took too long; the exit status is timeout(1)'s. */
export class TimeLimit extends Trouble {
  override readonly status = 124;
  override readonly name = 'TimeLimit';
}
