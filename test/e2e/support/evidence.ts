// Proof that nothing has changed: what is on disk, in the kernel and on the host, before and after.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GatewayClient } from '../../../src/wire/client.ts';
import type { Lab } from '../../lab/lab.ts';
import { revisionOf } from './gateway.ts';
import { ruleset } from './kernel.ts';

export interface Evidence {
  readonly revision: number;
  readonly database: string;
  readonly journal: string;
  readonly ruleset: string;
  readonly addresses: string;
}

export async function collectEvidence(lab: Lab, client: GatewayClient): Promise<Evidence> {
  const [revision, database, journal, rules, addresses] = await Promise.all([
    revisionOf(client),
    readFile(join(lab.stateDirectory, 'penstock.db')),
    readFile(join(lab.stateDirectory, 'penstock.db-wal')),
    ruleset(lab),
    lab.exec('gateway', ['ip', '-brief', 'address', 'show', 'dev', 'lo']),
  ]);
  return {
    revision,
    database: hash(database),
    journal: hash(journal),
    ruleset: hash(rules),
    addresses: addresses.stdout,
  };
}

function hash(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
