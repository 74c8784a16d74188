import { DatabaseSync } from "node:sqlite";

/** A set of changes, in the form in which it is sent to the writer's thread. */
export interface WriteBatch {
  readonly revision: number;
  readonly puts: readonly { readonly row: string; readonly revision: number; readonly bytes: Uint8Array }[];
  readonly removals: readonly string[];
  /**
   * The collections that the batch changes, each with the revision of its last change. After a restart, watches can
   * resume from this revision.
   */
  readonly collections: readonly { readonly name: string; readonly revision: number }[];
}

/**
 * Opens the file and creates the tables. With WAL and synchronous=FULL, a commit that has returned survives kill -9 and
 * a power loss.
 */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; PRAGMA busy_timeout=5000",
  );
  database.exec(
    "CREATE TABLE IF NOT EXISTS objects(row TEXT PRIMARY KEY, revision INTEGER NOT NULL, bytes BLOB NOT NULL) WITHOUT ROWID",
  );
  database.exec(
    "CREATE TABLE IF NOT EXISTS collections(name TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID",
  );
  database.exec("CREATE TABLE IF NOT EXISTS state(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID");
  return database;
}

export interface DatabaseContent {
  readonly revision: number;
  readonly collections: ReadonlyMap<string, number>;
  readonly rows: Iterable<{ readonly row: string; readonly revision: number; readonly bytes: Uint8Array }>;
}

export function readContent(database: DatabaseSync): DatabaseContent {
  const state = database.prepare("SELECT value FROM state WHERE name = 'revision'").get() as
    | { value: number }
    | undefined;
  const collections = new Map<string, number>();
  for (const row of database.prepare("SELECT name, revision FROM collections").all()) {
    const { name, revision } = row as { name: string; revision: number };
    collections.set(name, revision);
  }
  const rows = database.prepare("SELECT row, revision, bytes FROM objects ORDER BY row").all();
  return { revision: state?.value ?? 0, collections, rows: rows as unknown as DatabaseContent["rows"] };
}

export function batchWriter(database: DatabaseSync): (batch: WriteBatch) => void {
  const put = database.prepare(
    "INSERT INTO objects(row, revision, bytes) VALUES(?, ?, ?) ON CONFLICT(row) DO UPDATE SET revision = excluded.revision, bytes = excluded.bytes",
  );
  const remove = database.prepare("DELETE FROM objects WHERE row = ?");
  const touch = database.prepare(
    "INSERT INTO collections(name, revision) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET revision = excluded.revision",
  );
  const advance = database.prepare(
    "INSERT INTO state(name, value) VALUES('revision', ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
  );
  return (batch) => {
    database.exec("BEGIN IMMEDIATE");
    try {
      for (const row of batch.removals) remove.run(row);
      for (const { row, revision, bytes } of batch.puts) put.run(row, revision, bytes);
      for (const { name, revision } of batch.collections) touch.run(name, revision);
      advance.run(batch.revision);
      database.exec("COMMIT");
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
  };
}
