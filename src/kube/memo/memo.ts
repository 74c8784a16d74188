import { invariant } from "../../base/index.ts";

export interface MemoStats {
  /**
   * The number of stored values. It includes values of unreachable objects that V8 has not collected yet. A memo made
   * by {@link Memos.brief} does not notice collected objects, so it counts all values since it last forgot them.
   */
  readonly size: number;
  /** How often a value was computed or replaced. */
  readonly computations: number;
}

/**
 * The maximum number of values. When a memo reaches it, the memo forgets all its values. A mesh of 10,000 services and
 * 100 scopes needs less than half of it.
 */
const maxValues = 1_000_000;
/**
 * The maximum number of keys of one object, such as scopes, namespaces and versions. Beyond it, the oldest keys are
 * evicted.
 */
const maxKeys = 4096;

/**
 * The maximum number of values of a memo made by {@link Memos.brief}. By then, nearly all of its objects have been
 * collected.
 */
const maxBriefValues = 10_000;

/** The number of a memo's values that belong to one object. They are removed when the object is collected. */
interface Share {
  values: number;
}

const single: Share = { values: 1 };

/** Values by object. When an object is collected, its values are removed. */
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

/** The common part of both kinds of memos. */
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

  /** The store for one more value. A full memo starts with a new, empty store. */
  protected storeForOneMore(): MemoStore<Kept> {
    this.#computations += 1;
    if (this.#store.size >= this.#maxValues) this.#store = new MemoStore(this.#isBrief);
    return this.#store;
  }
}

/**
 * A value for each object, for as long as the object lives. A value that depends on anything else must be checked after
 * {@link get}, and replaced with {@link set}.
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

/** Values by an object and a key, for as long as the object lives. Equal parts of several scopes share one value. */
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
 * The memos of the functions by which a graph computes its collections. Each has a name and a bound, and the graph
 * shows their sizes. A memo depends only on its object and its key, so it never has to be invalidated.
 */
export class Memos {
  readonly #memos = new Map<string, { readonly stats: MemoStats }>();

  memo<Subject extends object, Value>(name: string, max = maxValues): Memo<Subject, Value> {
    return this.#added(name, new Memo<Subject, Value>(max));
  }

  /**
   * A memo for objects that live only for one change of the configuration, such as a list of names. It does not notice
   * collected objects, because that would take more time than computing the value.
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
