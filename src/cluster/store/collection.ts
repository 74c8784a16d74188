import { innerKey, type StoredRecord } from "./record.ts";

export interface ChangeEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly revision: number;
  /** The new state of the object. For DELETED, its last state with the revision of the deletion. */
  readonly record: StoredRecord;
  readonly previous: StoredRecord | undefined;
  /** The encoded forms of the event, by a key for the form. All watchers share them. */
  readonly encoded: Map<string, Buffer>;
}

/** Gets the collection's changes in one commit, in order. */
export type ChangeListener = (events: readonly ChangeEvent[]) => void;

const maximumHistoryEvents = 8192;
const maximumHistoryBytes = 32 * 1024 * 1024;

/** The committed objects of one resource, a bounded history of their changes, and the listeners. */
export class Collection {
  readonly name: string;
  readonly #records = new Map<string, StoredRecord>();
  readonly #listeners = new Set<ChangeListener>();
  readonly #faulty: (error: unknown) => void;
  #sorted: StoredRecord[] | undefined;
  #history: ChangeEvent[] = [];
  #historyBytes = 0;
  /** The history contains all changes after this revision. */
  #compacted: number;
  #revision: number;

  /** `faulty` gets the errors of listeners. A failing listener must not stop the others. */
  constructor(name: string, revision: number, faulty: (error: unknown) => void) {
    this.name = name;
    this.#faulty = faulty;
    this.#compacted = revision;
    this.#revision = revision;
  }

  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#records.size;
  }

  get(namespace: string, name: string): StoredRecord | undefined {
    return this.#records.get(innerKey(namespace, name));
  }

  /** The objects of one namespace, or of all, in the order of their keys. Callers must not change the array. */
  list(namespace?: string): readonly StoredRecord[] {
    this.#sorted ??= sortedRecords(this.#records);
    return namespace === undefined || namespace === "" ? this.#sorted : sliceNamespace(this.#sorted, namespace);
  }

  /** The result of {@link list} as of that revision. Returns undefined if the history does not reach back that far. */
  listAt(revision: number, namespace?: string): readonly StoredRecord[] | undefined {
    if (revision >= this.#revision) return this.list(namespace);
    if (revision < this.#compacted) return undefined;
    const then = new Map(this.#records);
    for (let index = this.#history.length - 1; index >= 0; index--) {
      const event = this.#history[index];
      if (event === undefined || event.revision <= revision) break;
      const key = innerKey(event.record.namespace, event.record.name);
      if (event.previous === undefined) then.delete(key);
      else then.set(key, event.previous);
    }
    const sorted = sortedRecords(then);
    return namespace === undefined || namespace === "" ? sorted : sliceNamespace(sorted, namespace);
  }

  /** The changes after a revision. Returns undefined if some of them are no longer in the history (410 Gone). */
  since(revision: number): readonly ChangeEvent[] | undefined {
    if (revision < this.#compacted) return undefined;
    let first = this.#history.length;
    while (first > 0 && (this.#history[first - 1]?.revision ?? 0) > revision) first--;
    return this.#history.slice(first);
  }

  subscribe(listener: ChangeListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Adds an object that existed at the start. Only the store calls it. */
  load(record: StoredRecord): void {
    this.#records.set(innerKey(record.namespace, record.name), record);
    this.#sorted = undefined;
  }

  /** Applies committed events to the state and calls the listeners. Only the store calls it. */
  commit(events: readonly ChangeEvent[]): void {
    for (const event of events) {
      const key = innerKey(event.record.namespace, event.record.name);
      if (event.type === "DELETED") this.#records.delete(key);
      else this.#records.set(key, event.record);
      this.#history.push(event);
      this.#historyBytes += event.record.bytes.length;
      this.#revision = event.revision;
    }
    this.#sorted = undefined;
    this.#trim();
    for (const listener of this.#listeners) {
      try {
        listener(events);
      } catch (error) {
        this.#faulty(error);
      }
    }
  }

  /** Drops the changes up to this revision from the history. Only the store calls it. */
  forget(revision: number): void {
    const first = this.#history.findIndex((event) => event.revision > revision);
    this.#drop(first < 0 ? this.#history.length : first);
  }

  #trim(): void {
    if (this.#history.length <= maximumHistoryEvents && this.#historyBytes <= maximumHistoryBytes) return;
    this.#drop(Math.ceil(this.#history.length / 2));
  }

  #drop(count: number): void {
    const dropped = this.#history.splice(0, count);
    for (const event of dropped) this.#historyBytes -= event.record.bytes.length;
    this.#compacted = dropped.at(-1)?.revision ?? this.#compacted;
  }
}

function sortedRecords(records: ReadonlyMap<string, StoredRecord>): StoredRecord[] {
  return [...records].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, record]) => record);
}

function sliceNamespace(sorted: readonly StoredRecord[], namespace: string): readonly StoredRecord[] {
  const low = firstNotBefore(sorted, innerKey(namespace, ""));
  let end = low;
  while (end < sorted.length && sorted[end]?.namespace === namespace) end++;
  return sorted.slice(low, end);
}

/** The records of a sorted list that come after the key of an object. The object itself may no longer exist. */
export function recordsAfter(sorted: readonly StoredRecord[], namespace: string, name: string): StoredRecord[] {
  const key = innerKey(namespace, name);
  const index = firstNotBefore(sorted, key);
  const found = sorted[index];
  return sorted.slice(found?.namespace === namespace && found.name === name ? index + 1 : index);
}

/** The index of the first record of a sorted list whose key is equal or greater. */
function firstNotBefore(sorted: readonly StoredRecord[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const record = sorted[middle];
    if (record !== undefined && innerKey(record.namespace, record.name) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
