import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { sourceStack, transientError, type Logger } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { Collection, type ChangeEvent } from "./collection.ts";
import { openDatabase, readContent, type WriteBatch } from "./database.ts";
import { encodeObject, parseRowKey, rowKey, StoredRecord, type ObjectKey } from "./record.ts";
import { startWriterThread, type BatchWriter } from "./writer.ts";

export interface StoreOptions {
  /** The database file. Its directory is created if it is missing. */
  readonly path: string;
  readonly log: Logger;
  /** Called once if the writer's thread has died. Nothing can be stored after that, so the process should end. */
  readonly broken?: (error: Error) => void;
  /** Starts the writer that makes batches durable. By default, the writer is a thread that owns the database file. */
  readonly startWriter?: (path: string, broken: (error: Error) => void) => BatchWriter;
}

/** The state that the caller expects: no object, or an object with this revision. */
export type Expectation = "absent" | number;

/** The error for an object that is larger than the caller of the write allows. */
export class ObjectTooLarge extends Error {}

interface PendingChange {
  readonly key: ObjectKey;
  readonly event: ChangeEvent;
  readonly settle: (error?: Error) => void;
}

/** The maximum number of changes in one commit. Further changes wait for the next commit. */
const maximumBatch = 512;

/**
 * The objects of a cluster. Writers see the newest state even before it is durable, and the store checks their
 * expectations against it. Readers and watchers see only committed states. The promise of a write resolves after its
 * commit. If a commit fails, all writes that are not yet durable fail, because a later write may be based on an earlier
 * one.
 */
export class Store {
  readonly #log: Logger;
  readonly #writer: BatchWriter;
  readonly #collections = new Map<string, Collection>();
  /** The newest change of each key that is not committed yet. */
  readonly #uncommitted = new Map<string, ChangeEvent>();
  #queue: PendingChange[] = [];
  #writing = false;
  #assigned: number;
  #committed: number;
  readonly #startRevision: number;

  private constructor(log: Logger, writer: BatchWriter, revision: number) {
    this.#log = log;
    this.#writer = writer;
    this.#assigned = revision;
    this.#committed = revision;
    this.#startRevision = revision;
  }

  static open(options: StoreOptions): Store {
    if (!existsSync(dirname(options.path))) mkdirSync(dirname(options.path), { recursive: true });
    const database = openDatabase(options.path);
    const content = readContent(database);
    // Close this connection before the writer opens the file. The last connection to be closed removes the write-ahead
    // log, for which it needs a lock, and the writer would then find its file locked forever.
    database.close();
    const writer = (options.startWriter ?? startWriterThread)(options.path, options.broken ?? (() => undefined));
    const store = new Store(options.log, writer, content.revision);
    for (const [name, revision] of content.collections)
      store.#collections.set(name, store.#newCollection(name, revision));
    for (const { row, revision, bytes } of content.rows) {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const key = parseRowKey(row);
      store
        .collection(key.collection)
        .load(new StoredRecord(key, revision, buffer, JSON.parse(buffer.toString("utf8")) as UntypedObject));
    }
    return store;
  }

  /** The newest committed revision: the resourceVersion of lists. */
  get revision(): number {
    return this.#committed;
  }

  collection(name: string): Collection {
    let collection = this.#collections.get(name);
    if (collection === undefined) {
      collection = this.#newCollection(name, this.#startRevision);
      this.#collections.set(name, collection);
    }
    return collection;
  }

  /** Drops the history up to this revision. Watches and lists from before it then get 410 Gone. */
  forget(revision: number): void {
    for (const collection of this.#collections.values()) collection.forget(revision);
  }

  #newCollection(name: string, revision: number): Collection {
    return new Collection(name, revision, (error) => {
      this.#log.error("a listener failed", {
        collection: name,
        error: error instanceof Error ? sourceStack(error) : String(error),
      });
    });
  }

  /** The committed state of an object. */
  get(collection: string, namespace: string, name: string): StoredRecord | undefined {
    return this.collection(collection).get(namespace, name);
  }

  /** Returns the newest state, on which a write can be based. It may not be durable yet. See {@link durable}. */
  latest(collection: string, namespace: string, name: string): StoredRecord | undefined {
    const pending = this.#uncommitted.get(rowKey({ collection, namespace, name }));
    if (pending === undefined) return this.get(collection, namespace, name);
    return pending.type === "DELETED" ? undefined : pending.record;
  }

  /**
   * Returns the newest states of a namespace's objects, in no particular order. They may not be durable yet. See {@link
   * durable}.
   */
  newest(collection: string, namespace: string): StoredRecord[] {
    const isHere = ({ record }: ChangeEvent): boolean =>
      record.collection === collection && record.namespace === namespace;
    const pending = new Map([...this.#uncommitted.values()].filter(isHere).map((event) => [event.record.name, event]));
    const settled = this.collection(collection)
      .list(namespace)
      .filter(({ name }) => !pending.has(name));
    return [...settled, ...[...pending.values()].flatMap(({ type, record }) => (type === "DELETED" ? [] : [record]))];
  }

  /** Resolves when this record, which came from {@link latest}, is durable. Rejects if its commit has failed. */
  async durable(record: StoredRecord): Promise<void> {
    const refusal = this.#refused.get(record);
    if (refusal !== undefined) throw refusal;
    const pending =
      this.#queue.find((change) => change.event.record === record) ??
      this.#inFlight.find((change) => change.event.record === record);
    if (pending === undefined) return;
    await new Promise<void>((resolve, reject) => this.#observers.push({ record, resolve, reject }));
  }

  #inFlight: PendingChange[] = [];
  /** The error of each record whose commit has failed, for later calls of {@link durable}. */
  readonly #refused = new WeakMap<StoredRecord, Error>();
  readonly #observers: { record: StoredRecord; resolve: () => void; reject: (error: unknown) => void }[] = [];

  /**
   * Stores the object under the names in its metadata, and sets its resourceVersion. If the expectation is not met,
   * stores nothing and returns undefined. Throws {@link ObjectTooLarge} if the object has more than `maxBytes`.
   */
  put(
    collection: string,
    object: UntypedObject,
    expect: Expectation,
    maxBytes = Number.POSITIVE_INFINITY,
  ): Promise<StoredRecord> | undefined {
    const key: ObjectKey = { collection, namespace: object.metadata.namespace ?? "", name: object.metadata.name ?? "" };
    const previous = this.latest(collection, key.namespace, key.name);
    if ((previous?.revision ?? "absent") !== expect) return undefined;
    const revision = ++this.#assigned;
    const bytes = encodeObject(object, revision);
    if (bytes.length > maxBytes) throw new ObjectTooLarge();
    const record = new StoredRecord(key, revision, bytes, object);
    return this.#enqueue(key, {
      type: previous === undefined ? "ADDED" : "MODIFIED",
      revision,
      record,
      previous,
      encoded: new Map(),
    });
  }

  /** Removes the object. If the expectation is not met, removes nothing and returns undefined. */
  remove(collection: string, namespace: string, name: string, expect: number): Promise<StoredRecord> | undefined {
    const key: ObjectKey = { collection, namespace, name };
    const previous = this.latest(collection, namespace, name);
    if (previous === undefined || previous.revision !== expect) return undefined;
    const revision = ++this.#assigned;
    const last = previous.copy();
    const record = new StoredRecord(key, revision, encodeObject(last, revision), last);
    return this.#enqueue(key, { type: "DELETED", revision, record, previous, encoded: new Map() });
  }

  /** Waits for all accepted writes. Then closes the file. */
  async close(): Promise<void> {
    while (this.#writing || this.#queue.length > 0) await new Promise((resolve) => setImmediate(resolve));
    await this.#writer.close();
  }

  #enqueue(key: ObjectKey, event: ChangeEvent): Promise<StoredRecord> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        if (error === undefined) resolve(event.record);
        else reject(error);
      };
      this.#uncommitted.set(rowKey(key), event);
      this.#queue.push({ key, event, settle });
      if (!this.#writing) {
        this.#writing = true;
        // Commit in the next turn of the event loop, so that all writes of this turn share the commit.
        setImmediate(() => void this.#drain());
      }
    });
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, maximumBatch);
      this.#inFlight = batch;
      try {
        await this.#writer.write(batchOf(batch));
      } catch (error) {
        this.#fail([...batch, ...this.#queue.splice(0)], error);
        continue;
      }
      this.#apply(batch);
    }
    this.#inFlight = [];
    this.#writing = false;
  }

  #apply(batch: readonly PendingChange[]): void {
    const byCollection = new Map<string, ChangeEvent[]>();
    for (const { key, event } of batch) {
      const row = rowKey(key);
      if (this.#uncommitted.get(row) === event) this.#uncommitted.delete(row);
      const events = byCollection.get(key.collection);
      if (events === undefined) byCollection.set(key.collection, [event]);
      else events.push(event);
      this.#committed = event.revision;
    }
    for (const [name, events] of byCollection) this.collection(name).commit(events);
    for (const change of batch) change.settle();
    this.#tellObservers(batch, undefined);
  }

  #fail(changes: readonly PendingChange[], cause: unknown): void {
    this.#log.error("a commit failed", { writes: changes.length, cause: String(cause) });
    const error = transientError("storage-failed", cause instanceof Error ? cause.message : String(cause), { cause });
    this.#uncommitted.clear();
    for (const change of changes) {
      this.#refused.set(change.event.record, error);
      change.settle(error);
    }
    this.#tellObservers(changes, error);
  }

  #tellObservers(changes: readonly PendingChange[], error: unknown): void {
    if (this.#observers.length === 0) return;
    const settled = new Set(changes.map((change) => change.event.record));
    for (const observer of this.#observers.splice(0)) {
      if (!settled.has(observer.record)) this.#observers.push(observer);
      else if (error === undefined) observer.resolve();
      else observer.reject(error);
    }
  }
}

/** The batch for these changes. It contains each key only once, with the last state. */
function batchOf(changes: readonly PendingChange[]): WriteBatch {
  const last = new Map<string, ChangeEvent>();
  const collections = new Map<string, number>();
  for (const { key, event } of changes) {
    last.set(rowKey(key), event);
    collections.set(key.collection, event.revision);
  }
  const puts: { row: string; revision: number; bytes: Uint8Array }[] = [];
  const removals: string[] = [];
  for (const [row, event] of last) {
    if (event.type === "DELETED") removals.push(row);
    else puts.push({ row, revision: event.revision, bytes: event.record.bytes });
  }
  return {
    revision: changes.at(-1)?.event.revision ?? 0,
    puts,
    removals,
    collections: [...collections].map(([name, revision]) => ({ name, revision })),
  };
}
