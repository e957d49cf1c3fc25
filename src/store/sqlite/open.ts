// Opens a state file: one process at a time, checked for damage, every commit on disk before it returns.
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreFailed } from '../store.ts';
import { schema, schemaVersion } from './schema.ts';

/** Throws `StoreFailed` where a directory holds no state file. */
export function requireDatabase(directory: string): void {
  const file = fileIn(directory);
  if (existsSync(file)) return;
  throw new StoreFailed(
    `there is no state file ${file}`,
    'Give the directory that the agent was given: --state-directory DIR.',
  );
}

function fileIn(directory: string): string {
  return join(directory, 'penstock.db');
}

/** Opens `penstock.db` in a directory, making both when missing (0700 and 0600: rules tell who runs what). */
export function openDatabase(directory: string): DatabaseSync {
  const file = fileIn(directory);
  const database = connect(directory, file);
  try {
    prepare(database, file);
    return database;
  } catch (error) {
    database.close();
    throw error instanceof StoreFailed ? error : explain(error, file);
  }
}

function connect(directory: string, file: string): DatabaseSync {
  try {
    makeDirectory(resolve(directory));
    // Before SQLite makes its journal, which gets the mode that the file has, and holds as much.
    if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
    return new DatabaseSync(file);
  } catch (error) {
    throw new StoreFailed(
      `cannot open the state file ${file}: ${messageOf(error)}`,
      'Give the agent a directory that it may write to: --state-directory DIR.',
      error,
    );
  }
}

/** Not by mkdir's `recursive`: that never returns on a file system which answers ENOENT to every mkdir, such as /proc. */
function makeDirectory(directory: string): void {
  if (existsSync(directory)) return;
  makeDirectory(dirname(directory));
  mkdirSync(directory, { mode: 0o700 });
}

function prepare(database: DatabaseSync, file: string): void {
  // EXCLUSIVE keeps a second agent out for as long as this process lives; FULL makes each commit reach the disk.
  database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  database.exec('BEGIN IMMEDIATE; COMMIT;');
  const found = database.prepare('PRAGMA user_version').get()?.user_version;
  if (found === 0) {
    database.exec(`BEGIN; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT;`);
    const insert = database.prepare('INSERT INTO meta (name, value) VALUES (?, ?)');
    insert.run('instance', randomBytes(8).toString('hex'));
    insert.run('revision', '0');
    return;
  }
  if (found !== schemaVersion) {
    throw new StoreFailed(
      `${file} was written by another version of Penstock (its schema is ${String(found)}, this version's ${schemaVersion})`,
      'Run the version that wrote it, or start with an empty --state-directory and apply the configuration again.',
    );
  }
  const check = database.prepare('PRAGMA integrity_check(1)').get()?.integrity_check;
  if (check !== 'ok') {
    throw new StoreFailed(
      `${file} is damaged: ${String(check)}`,
      'Restore the file from a backup, or move it away and apply the configuration again; the kernel keeps forwarding meanwhile.',
    );
  }
}

function explain(error: unknown, file: string): StoreFailed {
  const message = messageOf(error);
  if (message.includes('locked')) {
    return new StoreFailed(
      `${file} is in use by another process`,
      'One agent owns a state directory: stop the other one first, or give this one its own --state-directory.',
      error,
    );
  }
  if (message.includes('malformed') || message.includes('not a database')) {
    return new StoreFailed(
      `${file} is damaged: ${message}`,
      'Restore the file from a backup, or move it away and apply the configuration again; the kernel keeps forwarding meanwhile.',
      error,
    );
  }
  return new StoreFailed(
    `cannot use the state file ${file}: ${message}`,
    'Check the disk and its permissions.',
    error,
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
