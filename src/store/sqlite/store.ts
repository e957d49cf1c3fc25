// The store on SQLite: one file, one writer, full synchronous writes.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type {
  Answer,
  FormerRow,
  HostChange,
  Row,
  RowChange,
  RowKey,
  RowKind,
  Saved,
  Store,
} from '../store.ts';
import { StoreFailed } from '../store.ts';
import { messageOf, openDatabase, requireDatabase } from './open.ts';

/** A larger way back is not kept: after a crash at just that moment the kernel is loaded anew instead. */
const undoLimit = 10_000;
/** Rows written before the event loop gets a turn (about 10 ms). */
const rowsPerTurn = 2_000;
const answersKept = 1_000;

export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  /** What `revert` needs. */
  #last:
    | {
        readonly revision: number;
        readonly changes: Iterable<RowChange>;
        readonly answer: Answer | undefined;
      }
    | undefined;

  /** `mustExist`: only a state file that is there already; it is made otherwise. Throws `StoreFailed`. */
  constructor(directory: string, { mustExist = false }: { readonly mustExist?: boolean } = {}) {
    if (mustExist) requireDatabase(directory);
    this.#database = openDatabase(directory);
    this.#statements = prepareStatements(this.#database);
  }

  async load(): Promise<Saved> {
    return readSaved(this.#database);
  }

  async save(revision: number, changes: Iterable<RowChange>, answer?: Answer): Promise<void> {
    this.#last = undefined;
    await this.#transaction(async () => {
      this.#statements.clearUndo.run();
      let written = 0;
      for (const change of changes) {
        this.#write(change, change.after);
        written += 1;
        if (written <= undoLimit) this.#keepUndo(change);
        if (written % rowsPerTurn === 0) await nextTurn();
      }
      if (written > undoLimit) this.#statements.clearUndo.run();
      this.#statements.setUndoKept.run(String(written <= undoLimit));
      this.#statements.setRevision.run(String(revision));
      if (answer !== undefined) this.#keepAnswer(revision, answer);
    });
    this.#last = { revision, changes, answer };
  }

  async revert(): Promise<void> {
    const last = this.#last;
    if (last === undefined) throw new Error('revert is only for the revision that was saved last');
    await this.#transaction(async () => {
      let written = 0;
      for (const change of last.changes) {
        this.#write(change, change.before);
        written += 1;
        if (written % rowsPerTurn === 0) await nextTurn();
      }
      this.#statements.clearUndo.run();
      this.#statements.setUndoKept.run('false');
      this.#statements.setRevision.run(String(last.revision - 1));
      if (last.answer !== undefined) this.#statements.dropAnswer.run(last.answer.requestId);
    });
    this.#last = undefined;
  }

  async put(changes: Iterable<RowChange>): Promise<void> {
    await this.#transaction(async () => {
      for (const change of changes) this.#write(change, change.after);
    });
  }

  async remember(revision: number, answer: Answer): Promise<void> {
    await this.#transaction(async () => this.#keepAnswer(revision, answer));
  }

  answer(requestId: string): Uint8Array | undefined {
    const body = this.#statements.getAnswer.get(requestId)?.body;
    return body instanceof Uint8Array ? body : undefined;
  }

  async recordHostChanges(changes: readonly HostChange[]): Promise<void> {
    await this.#transaction(async () => {
      for (const change of changes)
        this.#statements.putHostChange.run(change.kind, change.name, change.detail);
    });
  }

  async forgetHostChanges(changes: readonly HostChange[]): Promise<void> {
    await this.#transaction(async () => {
      for (const change of changes) this.#statements.dropHostChange.run(change.kind, change.name);
    });
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  async #transaction(work: () => Promise<void>): Promise<void> {
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      await work();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw new StoreFailed(
        `the state file could not be written: ${messageOf(error)}`,
        'Check the disk: is it full, or read-only? Nothing was changed.',
        error,
      );
    }
  }

  #write({ kind, key: [k1 = '', k2 = '', k3 = ''] }: RowKey, value: string | undefined): void {
    if (value === undefined) this.#statements.drop.run(kind, k1, k2, k3);
    else this.#statements.put.run(kind, k1, k2, k3, value);
  }

  #keepAnswer(revision: number, { requestId, body }: Answer): void {
    this.#statements.putAnswer.run(requestId, revision, body);
    this.#statements.forgetAnswers.run(answersKept);
  }

  #keepUndo({ kind, key: [k1 = '', k2 = '', k3 = ''], before }: RowChange): void {
    this.#statements.putUndo.run(kind, k1, k2, k3, before ?? null);
  }
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(database: DatabaseSync) {
  const setMeta = (name: string): StatementSync =>
    database.prepare(`INSERT OR REPLACE INTO meta (name, value) VALUES ('${name}', ?)`);
  return {
    put: database.prepare('INSERT OR REPLACE INTO rows (kind, k1, k2, k3, value) VALUES (?, ?, ?, ?, ?)'),
    drop: database.prepare('DELETE FROM rows WHERE kind = ? AND k1 = ? AND k2 = ? AND k3 = ?'),
    clearUndo: database.prepare('DELETE FROM undo'),
    putUndo: database.prepare('INSERT INTO undo (kind, k1, k2, k3, value) VALUES (?, ?, ?, ?, ?)'),
    setRevision: setMeta('revision'),
    setUndoKept: setMeta('undo_kept'),
    getAnswer: database.prepare('SELECT body FROM answers WHERE request_id = ?'),
    putAnswer: database.prepare(
      'INSERT OR REPLACE INTO answers (request_id, revision, body) VALUES (?, ?, ?)',
    ),
    dropAnswer: database.prepare('DELETE FROM answers WHERE request_id = ?'),
    forgetAnswers: database.prepare(
      'DELETE FROM answers WHERE rowid <= (SELECT max(rowid) FROM answers) - ?',
    ),
    putHostChange: database.prepare(
      'INSERT OR IGNORE INTO host_changes (kind, name, detail) VALUES (?, ?, ?)',
    ),
    dropHostChange: database.prepare('DELETE FROM host_changes WHERE kind = ? AND name = ?'),
  };
}

function readSaved(database: DatabaseSync): Saved {
  const meta = new Map<string, string>();
  for (const row of database.prepare('SELECT name, value FROM meta').iterate()) {
    meta.set(String(row.name), String(row.value));
  }
  const rows: Row[] = [];
  for (const row of database.prepare('SELECT kind, k1, k2, k3, value FROM rows').iterate()) {
    rows.push({ ...keyOf(row), value: String(row.value) });
  }
  const undo: FormerRow[] = [];
  for (const row of database.prepare('SELECT kind, k1, k2, k3, value FROM undo').iterate()) {
    undo.push({ ...keyOf(row), value: typeof row.value === 'string' ? row.value : undefined });
  }
  const hostChanges: HostChange[] = [];
  for (const row of database.prepare('SELECT kind, name, detail FROM host_changes').iterate()) {
    hostChanges.push({
      kind: row.kind === 'sysctl' ? 'sysctl' : 'address',
      name: String(row.name),
      detail: String(row.detail),
    });
  }
  return {
    instance: meta.get('instance') ?? '',
    revision: Number(meta.get('revision') ?? 0),
    rows,
    ...(meta.get('undo_kept') === 'true' ? { undo } : {}),
    hostChanges,
  };
}

function keyOf(row: Record<string, unknown>): RowKey {
  const key = [row.k1, row.k2, row.k3].map(String);
  while (key.at(-1) === '') key.pop();
  return { kind: row.kind as RowKind, key };
}
