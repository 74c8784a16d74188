import type { UntypedObject } from "../../api/index.ts";

/** The key of an object: `<group>/<plural>` of its resource, its namespace (empty for cluster scope) and its name. */
export interface ObjectKey {
  readonly collection: string;
  readonly namespace: string;
  readonly name: string;
}

/** One version of an object: its bytes for answers, and its frequently used fields. It never changes. */
export class StoredRecord implements ObjectKey {
  readonly collection: string;
  readonly namespace: string;
  readonly name: string;
  /** The resourceVersion. */
  readonly revision: number;
  /** The API version of the bytes. It is the storage version at the time of the write. */
  readonly apiVersion: string;
  /** The object as JSON that begins with `{"kind":…,"apiVersion":…,"metadata":`. */
  readonly bytes: Buffer;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  #parsed: WeakRef<UntypedObject>;

  constructor(key: ObjectKey, revision: number, bytes: Buffer, object: UntypedObject) {
    this.collection = key.collection;
    this.namespace = key.namespace;
    this.name = key.name;
    this.revision = revision;
    this.bytes = bytes;
    this.apiVersion = object.apiVersion ?? "";
    this.uid = object.metadata.uid ?? "";
    this.labels = object.metadata.labels ?? noLabels;
    this.#parsed = new WeakRef(object);
  }

  /** The parsed object. Readers share it, so they must not change it. */
  get object(): UntypedObject {
    const cached = this.#parsed.deref();
    if (cached !== undefined) return cached;
    const parsed = this.copy();
    this.#parsed = new WeakRef(parsed);
    return parsed;
  }

  at(revision: number): StoredRecord {
    const copy = this.copy();
    return new StoredRecord(this, revision, encodeObject(copy, revision), copy);
  }

  copy(): UntypedObject {
    return JSON.parse(this.bytes.toString("utf8")) as UntypedObject;
  }
}

const noLabels: Readonly<Record<string, string>> = {};

/**
 * The key of an object in its collection: `namespace/name`. Lists have the order of these keys, as in etcd: `a-b/x`
 * comes before `a/x`.
 */
export function innerKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** The key of the object's row in the database: `collection|namespace/name`. */
export function rowKey(key: ObjectKey): string {
  return `${key.collection}|${innerKey(key.namespace, key.name)}`;
}

export function parseRowKey(row: string): ObjectKey {
  const bar = row.indexOf("|");
  const slash = row.indexOf("/", bar);
  return { collection: row.slice(0, bar), namespace: row.slice(bar + 1, slash), name: row.slice(slash + 1) };
}

/** Encodes the object as JSON that begins with `kind` and `apiVersion`. Sets `metadata.resourceVersion` in place. */
export function encodeObject(object: UntypedObject, revision: number): Buffer {
  const { kind, apiVersion, metadata, ...rest } = object;
  metadata.resourceVersion = String(revision);
  return Buffer.from(JSON.stringify({ kind, apiVersion, metadata, ...rest }));
}
