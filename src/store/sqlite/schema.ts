// The tables of a state file, plain enough to be read with the sqlite3 program when all else fails.

/** Raised when the meaning of a row changes; an older file is then migrated, a newer one refused. */
export const schemaVersion = 1;

export const schema = `
  CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) WITHOUT ROWID;

  CREATE TABLE rows (
    kind TEXT NOT NULL,
    k1 TEXT NOT NULL,
    k2 TEXT NOT NULL,
    k3 TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, k1, k2, k3)
  ) WITHOUT ROWID;

  -- What leads back from the revision to the one before: a null value deletes the row.
  CREATE TABLE undo (
    kind TEXT NOT NULL,
    k1 TEXT NOT NULL,
    k2 TEXT NOT NULL,
    k3 TEXT NOT NULL,
    value TEXT
  );

  CREATE TABLE answers (
    request_id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL
  );

  CREATE TABLE host_changes (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (kind, name)
  ) WITHOUT ROWID;
`;
