// A diagnosis for people: the troubles one by one, the worst first, then what is fine in a line; and for programs.
import { catalogue } from '../../doctor/catalogue.ts';
import type { Check, Status } from '../../doctor/check.ts';
import type { Diagnosis } from '../../doctor/doctor.ts';
import type { JsonObject } from '../file/encode.ts';
import type { Channel } from '../terminal.ts';
import { paint } from './colour.ts';
import { counted, plainText } from './format.ts';
import { Table } from './table.ts';

const colours = { error: 'red', warning: 'yellow', unknown: 'yellow', info: 'dim', ok: 'green' } as const;

export function writeDiagnosis(out: Channel, diagnosis: Diagnosis, wide: boolean): void {
  const { checks } = diagnosis;
  for (const check of checks) {
    if (check.status !== 'ok') writeTrouble(out, check);
  }
  const fine = checks.filter(({ status }) => status === 'ok');
  if (wide) writeFine(out, fine);
  else if (fine.length > 0) {
    // A thing of which one is in trouble and another is not is no comfort.
    const troubled = new Set(checks.filter(({ status }) => status !== 'ok').map(({ code }) => code));
    const codes = new Set(fine.map(({ code }) => code).filter((code) => !troubled.has(code)));
    out.write(
      `${paint(out, 'green', 'fine')}      ${[...codes].map((code) => catalogue[code].about).join(', ')}\n`,
    );
  }
  out.write(`\n${summaryLine(diagnosis)}\n`);
}

function writeTrouble(out: Channel, { status, code, subject, message, why, remedy }: Check): void {
  const about = subject === '' ? '' : `${plainText(subject)}: `;
  out.write(`${paint(out, colours[status], status.padEnd(10))}${paint(out, 'bold', code)}\n`);
  out.write(`  ${about}${plainText(message)}\n`);
  out.write(`  why:    ${why}\n`);
  if (remedy !== '') out.write(`  remedy: ${plainText(remedy)}\n`);
  out.write('\n');
}

function writeFine(out: Channel, fine: readonly Check[]): void {
  new Table(out, [{ title: 'FINE' }, { title: 'SUBJECT' }, { title: '' }]).write(
    fine.map(({ code, subject, message }) => [
      catalogue[code].about,
      plainText(subject) || '-',
      plainText(message),
    ]),
  );
}

function summaryLine({ plane, agentRuns, interfaces, checks }: Diagnosis): string {
  const of = (status: Status): number => checks.filter((check) => check.status === status).length;
  const parts = [
    counted(of('error'), 'error'),
    counted(of('warning'), 'warning'),
    `${of('unknown')} unknown`,
    `${of('ok')} of ${checks.length} checks fine`,
  ];
  const where = interfaces.length === 0 ? 'no interface' : interfaces.map(plainText).join(', ');
  return `${plane}, agent ${agentRuns ? 'running' : 'not reached'}, ${where}: ${parts.join(', ')}`;
}

/** `checks` has those that are fine as well, with the code of the trouble that is absent. */
export function diagnosisJson({ plane, agentRuns, interfaces, checks }: Diagnosis): JsonObject {
  const statuses: readonly Status[] = ['error', 'warning', 'unknown', 'info', 'ok'];
  return {
    dataPlane: plane,
    agentRunning: agentRuns,
    interfaces: [...interfaces],
    summary: Object.fromEntries(
      statuses.map((status) => [status, checks.filter((check) => check.status === status).length]),
    ),
    checks: checks.map(({ code, status, subject, message, why, remedy }) => ({
      code,
      status,
      subject,
      message,
      why,
      remedy,
    })),
  };
}
