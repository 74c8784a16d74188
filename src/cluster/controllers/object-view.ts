import { keyOf, type KubernetesObject } from "../../api/index.ts";
import type { Clock } from "../../base/index.ts";
import type { Informer, InformerChange } from "../../kube/index.ts";

/**
 * How long a view shows a write of this process that the watch has not confirmed. After this time, it shows the
 * informer's object again, because the written object may have been deleted.
 */
const localWriteLifeMs = 10_000;

export type ObjectChange<Value> = InformerChange<Value>;

/**
 * The objects of one kind as a controller should see them: the informer's objects, and the controller's own writes that
 * the watch has not delivered yet. Otherwise a controller that has just created three pods would create them again.
 */
export class ObjectView<Value extends KubernetesObject> {
  readonly informer: Informer<Value>;
  readonly #clock: Clock;
  readonly #objects = new Map<string, Value>();
  /** The keys of writes of this process that the watch has not confirmed, with the time of each write. */
  readonly #local = new Map<string, number>();
  /** The uids of objects that this process has deleted. An entry stays until the watch reports the deletion. */
  readonly #deleting = new Set<string>();
  readonly #indexes: ViewIndex<Value>[] = [];
  readonly #handlers: ((change: ObjectChange<Value>) => void)[] = [];

  constructor(informer: Informer<Value>, clock: Clock) {
    this.informer = informer;
    this.#clock = clock;
    informer.subscribe((change) => this.#confirm(change));
  }

  get(namespace: string | undefined, name: string): Value | undefined {
    return this.at(namespace === undefined || namespace === "" ? name : `${namespace}/${name}`);
  }

  /** Returns the object with the key `namespace/name`. */
  at(key: string): Value | undefined {
    this.#expire();
    return this.#objects.get(key);
  }

  all(): Value[] {
    this.#expire();
    return [...this.#objects.values()];
  }

  /** Makes an index that stays current. Call it before the informer runs. */
  index(keysOf: (object: Value) => readonly string[]): ObjectIndex<Value> {
    const index = new ViewIndex(keysOf, this.#objects, () => this.#expire());
    for (const [key, object] of this.#objects) index.set(key, undefined, object);
    this.#indexes.push(index);
    return index;
  }

  /** Calls the handler for every change that the server reports, after the indexes are current. */
  onChange(handler: (change: ObjectChange<Value>) => void): void {
    this.#handlers.push(handler);
  }

  /** Records the server's answer to a write of this controller. */
  wrote(object: Value): void {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    if (known !== undefined && versionOf(known) >= versionOf(object)) return;
    this.#put(key, object);
    this.#local.set(key, this.#clock.steadyMs());
  }

  /**
   * Records a deletion by this controller. The view shows the object as terminating until the watch reports its new
   * state.
   */
  deleted(object: Value): void {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    if (
      known === undefined ||
      known.metadata.uid !== object.metadata.uid ||
      known.metadata.deletionTimestamp !== undefined
    )
      return;
    this.#deleting.add(object.metadata.uid ?? "");
    this.#put(key, this.#asTerminating(known));
  }

  #asTerminating(object: Value): Value {
    const deletionTimestamp = new Date(this.#clock.nowMs()).toISOString();
    return { ...object, metadata: { ...object.metadata, deletionTimestamp } };
  }

  #confirm(change: InformerChange<Value>): void {
    const { key, object } = change;
    const known = this.#objects.get(key);
    if (change.type === "set") {
      if (
        known !== undefined &&
        known.metadata.uid === object.metadata.uid &&
        this.#local.has(key) &&
        versionOf(known) > versionOf(object)
      )
        return;
      this.#local.delete(key);
      const uid = object.metadata.uid ?? "";
      if (known !== undefined && known.metadata.uid !== uid) this.#deleting.delete(known.metadata.uid ?? "");
      if (object.metadata.deletionTimestamp !== undefined) this.#deleting.delete(uid);
      // The change may be older than this process' deletion, which it must not undo.
      this.#put(key, this.#deleting.has(uid) ? this.#asTerminating(object) : object);
    } else {
      this.#local.delete(key);
      this.#deleting.delete(object.metadata.uid ?? "");
      this.#drop(key);
    }
    for (const handler of this.#handlers) handler(change);
  }

  #put(key: string, object: Value): void {
    const before = this.#objects.get(key);
    this.#objects.set(key, object);
    for (const index of this.#indexes) index.set(key, before, object);
  }

  #drop(key: string): void {
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#objects.delete(key);
    for (const index of this.#indexes) index.set(key, before, undefined);
  }

  #expire(): void {
    if (this.#local.size === 0) return;
    const now = this.#clock.steadyMs();
    for (const [key, atMs] of this.#local) {
      if (now - atMs < localWriteLifeMs) continue;
      this.#local.delete(key);
      const actual = this.informer.get(key);
      if (actual === undefined) this.#drop(key);
      else this.#put(key, actual);
    }
  }
}

export interface ObjectIndex<Value> {
  of(key: string): Value[];
}

class ViewIndex<Value> implements ObjectIndex<Value> {
  readonly #keysOf: (object: Value) => readonly string[];
  readonly #objects: ReadonlyMap<string, Value>;
  readonly #expire: () => void;
  readonly #entries = new Map<string, Set<string>>();

  constructor(keysOf: (object: Value) => readonly string[], objects: ReadonlyMap<string, Value>, expire: () => void) {
    this.#keysOf = keysOf;
    this.#objects = objects;
    this.#expire = expire;
  }

  of(key: string): Value[] {
    this.#expire();
    const found: Value[] = [];
    for (const name of this.#entries.get(key) ?? []) {
      const object = this.#objects.get(name);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  set(name: string, before: Value | undefined, after: Value | undefined): void {
    for (const key of before === undefined ? [] : this.#keysOf(before)) {
      const names = this.#entries.get(key);
      names?.delete(name);
      if (names?.size === 0) this.#entries.delete(key);
    }
    for (const key of after === undefined ? [] : this.#keysOf(after)) {
      let names = this.#entries.get(key);
      if (names === undefined) this.#entries.set(key, (names = new Set()));
      names.add(name);
    }
  }
}

/** The object's resource version. Versions of one server can be compared as numbers (KEP-5504). */
function versionOf(object: KubernetesObject): number {
  return Number(object.metadata.resourceVersion ?? 0);
}
