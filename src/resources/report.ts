// Collects every offender of a request, so that a caller mends all of them at once.
import { type Field, pathOf } from './field.ts';
import { type Reason, refuseIfAny, type Violation } from './refusal.ts';

/** Notes that a field offends; checking goes on with the next one. */
export type Report = (
  field: Field,
  reason: Reason,
  description: string,
  metadata?: Readonly<Record<string, string>>,
) => void;

export interface Findings {
  readonly report: Report;
  /** Throws a Refusal with all that was reported, if anything was. */
  refuseIfAny(): void;
}

export function collectFindings(): Findings {
  const violations: Violation[] = [];
  return {
    report: (field, reason, description, metadata) => {
      violations.push({
        field: pathOf(field),
        reason,
        description,
        ...(metadata === undefined ? {} : { metadata }),
      });
    },
    refuseIfAny: () => refuseIfAny(violations),
  };
}
