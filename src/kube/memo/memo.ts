import { invariant } from "../../base/index.ts";

export interface MemoStats {
  /**
   * The number of stored values, including values of unreachable objects that V8 has not collected yet. A memo of
   * {@link Memos.brief} does not notice collected objects, so it counts all values since it was last emptied.
   */
  readonly size: number;
  /** How many values have been stored, including replaced ones. */
  readonly computations: number;
}

/**
 * The default maximum number of values of a memo. A memo that reaches it is emptied. A mesh of 10,000 services and 100
 * scopes needs less than half of it.
 */
const maxValues = 1_000_000;
/**
 * The maximum number of keys of one object, for example scopes, namespaces or versions. Beyond it, the oldest key is
 * evicted.
 */
const maxKeys = 4096;

/**
 * The default maximum number of values of a memo of {@link Memos.brief}. When it is reached, nearly all of the objects
 * have been collected.
 */
const maxBriefValues = 10_000;

/** The number of values that belong to one object. It is subtracted when the object is collected. */
interface Share {
  values: number;
}

const single: Share = { values: 1 };

/** Values by object. They are removed when the object is garbage-collected. */
class MemoStore<Kept> {
  readonly kept = new WeakMap<object, Kept>();
  readonly #collected: FinalizationRegistry<Share> | undefined;
  size = 0;

  constructor(isBrief: boolean) {
    this.#collected = isBrief ? undefined : new FinalizationRegistry<Share>((share) => (this.size -= share.values));
  }

  add(subject: object, kept: Kept, share: Share): void {
    this.kept.set(subject, kept);
    this.#collected?.register(subject, share);
  }
}

abstract class BoundedMemo<Kept> {
  readonly #maxValues: number;
  readonly #isBrief: boolean;
  #store: MemoStore<Kept>;
  #computations = 0;

  constructor(max: number, isBrief = false) {
    this.#maxValues = max;
    this.#isBrief = isBrief;
    this.#store = new MemoStore(isBrief);
  }

  get stats(): MemoStats {
    return { size: this.#store.size, computations: this.#computations };
  }

  protected kept(subject: object): Kept | undefined {
    return this.#store.kept.get(subject);
  }

  /** Returns the store for one more value. If the memo is full, replaces the store with an empty one. */
  protected storeForOneMore(): MemoStore<Kept> {
    this.#computations += 1;
    if (this.#store.size >= this.#maxValues) this.#store = new MemoStore(this.#isBrief);
    return this.#store;
  }
}

/**
 * A value for each object, as long as the object lives. If the value depends on anything else, the caller of {@link
 * get} must check it, and replace it by {@link set} if needed.
 */
export class Memo<Subject extends object, Value> extends BoundedMemo<Value> {
  get(subject: Subject): Value | undefined {
    return this.kept(subject);
  }

  set(subject: Subject, value: Value): void {
    const store = this.storeForOneMore();
    if (store.kept.has(subject)) {
      store.kept.set(subject, value);
      return;
    }
    store.add(subject, value, single);
    store.size += 1;
  }

  of(subject: Subject, make: (subject: Subject) => Value): Value {
    const known = this.kept(subject);
    if (known !== undefined) return known;
    const value = make(subject);
    this.set(subject, value);
    return value;
  }
}

interface Keyed<Value> {
  readonly values: Map<string, Value>;
  readonly share: Share;
}

/**
 * Values by object and key, as long as the object lives. For example, equal parts of several scopes share one value.
 */
export class KeyedMemo<Subject extends object, Value> extends BoundedMemo<Keyed<Value>> {
  of(subject: Subject, key: string, make: () => Value): Value {
    const known = this.kept(subject)?.values.get(key);
    if (known !== undefined) return known;
    const value = make();
    const store = this.storeForOneMore();
    let keyed = store.kept.get(subject);
    if (keyed === undefined) {
      keyed = { values: new Map(), share: { values: 0 } };
      store.add(subject, keyed, keyed.share);
    }
    const { values, share } = keyed;
    if (values.size >= maxKeys) values.delete(values.keys().next().value ?? "");
    values.set(key, value);
    store.size += values.size - share.values;
    share.values = values.size;
    return value;
  }
}

/**
 * The memos of the functions that compute a graph's collections. Each has a name, and the graph shows their sizes. A
 * value depends only on its object and key, so it never becomes invalid.
 */
export class Memos {
  readonly #memos = new Map<string, { readonly stats: MemoStats }>();

  memo<Subject extends object, Value>(name: string, max = maxValues): Memo<Subject, Value> {
    return this.#added(name, new Memo<Subject, Value>(max));
  }

  /**
   * Creates a memo for objects that live only during one change of the configuration, such as a list of names. It does
   * not notice collected objects, because registering them would take longer than computing the values.
   */
  brief<Subject extends object, Value>(name: string, max = maxBriefValues): Memo<Subject, Value> {
    return this.#added(name, new Memo<Subject, Value>(max, true));
  }

  keyed<Subject extends object, Value>(name: string, max = maxValues): KeyedMemo<Subject, Value> {
    return this.#added(name, new KeyedMemo<Subject, Value>(max));
  }

  get stats(): Readonly<Record<string, MemoStats>> {
    return Object.fromEntries([...this.#memos].map(([name, { stats }]) => [name, stats]));
  }

  #added<Some extends { readonly stats: MemoStats }>(name: string, memo: Some): Some {
    invariant(!this.#memos.has(name), `two memos have the name ${name}`);
    this.#memos.set(name, memo);
    return memo;
  }
}
