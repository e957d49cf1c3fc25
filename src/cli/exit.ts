// How the command ends: its exit codes, and the errors that lead to them.

/** The exit codes, as `--help` documents them. */
export const exit = {
  done: 0,
  refused: 1,
  /** `doctor` has found errors. */
  troubled: 1,
  usage: 2,
  unreachable: 3,
  agentFailed: 4,
} as const;

export type ExitCode = (typeof exit)[keyof typeof exit];

/** A line that belongs to an error: where it is, and what is wrong there. */
export interface Detail {
  /** A field or a place in a file; empty when the text says it all. */
  readonly place: string;
  readonly text: string;
}

/** Ends the command with a message for people; `remedy` says what to do. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;
  readonly details: readonly Detail[];
  readonly remedy: string;

  constructor(
    exitCode: ExitCode,
    message: string,
    more: { readonly details?: readonly Detail[]; readonly remedy?: string } = {},
  ) {
    super(message);
    this.exitCode = exitCode;
    this.details = more.details ?? [];
    this.remedy = more.remedy ?? '';
  }
}

/** A wrong option or argument. */
export function usageError(message: string, remedy = ''): CommandError {
  return new CommandError(exit.usage, message, { remedy });
}
