import { invariant } from "../../base/index.ts";
import type { Collection } from "../collection.ts";
import type { Memos, MemoStats } from "../memo/index.ts";
import { BaseCollection, type Change } from "./base-collection.ts";
import { DerivedCollection, type Compute } from "./derived-collection.ts";
import { FlattenedCollection } from "./flattened-collection.ts";
import { SourceCollection } from "./source-collection.ts";
import { structurallyEqual } from "./structurally-equal.ts";

export interface CollectionGraphOptions {
  /** Called at the first write outside a batch. Must call `settle` soon. If absent, the graph settles at once. */
  readonly schedule?: (settle: () => void) => void;
  /**
   * Called when a settling begins. The settling includes all writes so far, and may include later ones if it pauses.
   */
  readonly begun?: () => void;
  /** Called when all collections are computed, before subscribers are notified. */
  readonly computed?: () => void;
  /**
   * Called when a computation throws. The item whose computation failed keeps its previous results. If absent, the
   * error is rethrown.
   */
  readonly failed?: (collection: string, key: string, error: unknown) => void;
  /**
   * Called when a subscriber throws. The others are still notified. If absent, the first such error is thrown after
   * settling.
   */
  readonly subscriberFailed?: (collection: string, error: unknown) => void;
  readonly nowMs?: () => number;
  /** The memos of the functions that compute the collections. */
  readonly memos?: Memos;
}

/**
 * Collections that depend on each other. Writes to sources form batches. A batch settles in the order in which the
 * collections were constructed. That is a topological order, because a collection may only read earlier ones.
 *
 * Subscribers are notified after everything has settled, so they never see a mixture of old and new. Collections may be
 * added at any time. A late one is complete after the next settling, which adding it requests.
 */
export class CollectionGraph {
  readonly #options: CollectionGraphOptions;
  readonly #collections: BaseCollection<unknown>[] = [];
  readonly #derived: (DerivedCollection<unknown, unknown> | FlattenedCollection<unknown, unknown>)[] = [];
  #batchDepth = 0;
  #scheduled = false;
  /** The settling that has begun and not ended. */
  #work: Generator<undefined, void> | undefined;
  #isWorking = false;
  #hasLateWrites = false;
  #pauseAtMs = Number.POSITIVE_INFINITY;
  #pausedAtMs: number | undefined;
  #pausedMs = 0;

  constructor(options: CollectionGraphOptions = {}) {
    this.#options = options;
  }

  /**
   * A collection that is written from outside. `equals` decides whether a write is a change. If absent, items are
   * compared by identity.
   */
  source<Item>(name: string, equals: (left: Item, right: Item) => boolean = Object.is): SourceCollection<Item> {
    const collection = new SourceCollection<Item>(name, this.#collections.length, equals, () => this.#touched());
    this.#collections.push(collection as BaseCollection<unknown>);
    return collection;
  }

  /**
   * A collection that is computed item by item from another. Results equal to the previous ones (by structure, or by
   * `equals`) are not passed on.
   */
  derive<Input, Item>(
    name: string,
    input: Collection<Input>,
    compute: Compute<Input, Item>,
    equals: (left: Item, right: Item) => boolean = structurallyEqual,
  ): Collection<Item> {
    invariant(
      input instanceof BaseCollection && this.#collections[input.ordinal] === input,
      `${name} must derive from a collection of its own graph`,
    );
    const collection = new DerivedCollection<Input, Item>(
      name,
      this.#collections.length,
      input as BaseCollection<Input>,
      compute,
      {
        equals,
        failed: (collectionName, key, error) => this.#failed(collectionName, key, error),
        nowMs: () => this.#nowMs(),
      },
    );
    this.#collections.push(collection as BaseCollection<unknown>);
    this.#derived.push(collection as unknown as DerivedCollection<unknown, unknown>);
    if (input.size > 0) this.#touched();
    return collection;
  }

  /**
   * A collection of the elements of the items' lists. Each element has its own key. Elements with the same key must be
   * interchangeable. An element exists as long as any list contains it.
   */
  flatten<Input, Item>(
    name: string,
    input: Collection<Input>,
    listOf: (input: Input) => readonly Item[],
    keyOf: (item: Item) => string,
  ): Collection<Item> {
    invariant(
      input instanceof BaseCollection && this.#collections[input.ordinal] === input,
      `${name} must derive from a collection of its own graph`,
    );
    const collection = new FlattenedCollection<Input, Item>(
      name,
      this.#collections.length,
      input as BaseCollection<Input>,
      listOf,
      keyOf,
    );
    this.#collections.push(collection as BaseCollection<unknown>);
    this.#derived.push(collection as unknown as FlattenedCollection<unknown, unknown>);
    if (input.size > 0) this.#touched();
    return collection;
  }

  /** Treats all writes of `run` as one change, and settles after it. */
  batch(run: () => void): void {
    this.#batchDepth += 1;
    try {
      run();
    } finally {
      this.#batchDepth -= 1;
    }
    if (this.#batchDepth === 0) this.settle();
  }

  /**
   * Computes everything that pending writes affect, then notifies the subscribers. Repeats this for the writes of
   * subscribers.
   */
  settle(): void {
    if (this.#isWorking || this.#batchDepth > 0) return;
    // Writes after the beginning of a paused settling are not part of it, so they need another one.
    if (this.#work !== undefined) this.#workFor(Number.POSITIVE_INFINITY);
    this.#workFor(Number.POSITIVE_INFINITY);
  }

  /**
   * Settles for about this time. Returns whether everything is settled. Until then, some items of collections are new
   * and others old, and subscribers have not been notified of the new ones. The next call continues.
   */
  settleFor(budgetMs: number): boolean {
    if (this.#isWorking || this.#batchDepth > 0) return false;
    return this.#workFor(budgetMs);
  }

  /** Whether a settling in parts has begun and not ended. */
  get isSettling(): boolean {
    return this.#work !== undefined;
  }

  get collections(): readonly Collection<unknown>[] {
    return this.#collections;
  }

  /** The statistics of the memos by name. */
  get memos(): Readonly<Record<string, MemoStats>> {
    return this.#options.memos?.stats ?? {};
  }

  #workFor(budgetMs: number): boolean {
    this.#pauseAtMs = budgetMs === Number.POSITIVE_INFINITY ? budgetMs : this.#nowMs() + budgetMs;
    const work = (this.#work ??= this.#settling());
    this.#isWorking = true;
    try {
      if (work.next().done !== true) {
        this.#pausedAtMs = this.#now();
        return false;
      }
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#isWorking = false;
    }
    this.#end();
    return true;
  }

  #end(): void {
    this.#work = undefined;
    if (!this.#hasLateWrites) return;
    this.#hasLateWrites = false;
    this.#touched();
  }

  *#settling(): Generator<undefined, void> {
    const thrown: unknown[] = [];
    const { subscriberFailed = (_collection: string, error: unknown) => void thrown.push(error) } = this.#options;
    do {
      this.#scheduled = false;
      this.#options.begun?.();
      yield* this.#settleOnce();
      this.#options.computed?.();
      for (const collection of this.#collections)
        collection.publish((error) => subscriberFailed(collection.name, error));
    } while (this.#scheduled);
    if (thrown.length > 0) throw thrown[0];
  }

  *#settleOnce(): Generator<undefined, void> {
    const isPauseDue = (): boolean => this.#isPauseDue();
    for (const collection of this.#collections) {
      const changes: readonly Change<unknown>[] = yield* collection.settle(isPauseDue);
      if (changes.length === 0) continue;
      for (const derived of this.#derived) {
        if (derived.ordinal <= collection.ordinal) continue;
        derived.invalidate(collection, changes);
        if (isPauseDue()) yield;
      }
    }
  }

  #touched(): void {
    // Writes during a pause do not become part of the paused settling. Otherwise it would never end under steady
    // writes.
    if (this.#work !== undefined && !this.#isWorking) this.#hasLateWrites = true;
    if (this.#scheduled || this.#batchDepth > 0 || this.#hasLateWrites) return;
    this.#scheduled = true;
    if (this.#isWorking) return;
    const schedule = this.#options.schedule ?? ((settle: () => void) => settle());
    schedule(() => this.settle());
  }

  #isPauseDue(): boolean {
    return this.#pauseAtMs !== Number.POSITIVE_INFINITY && this.#nowMs() >= this.#pauseAtMs;
  }

  /** The time, without the time spent in pauses. */
  #nowMs(): number {
    if (this.#pausedAtMs !== undefined) {
      this.#pausedMs += this.#now() - this.#pausedAtMs;
      this.#pausedAtMs = undefined;
    }
    return this.#now() - this.#pausedMs;
  }

  #now(): number {
    return this.#options.nowMs?.() ?? performance.now();
  }

  #failed(collection: string, key: string, error: unknown): void {
    if (this.#options.failed === undefined) throw error;
    this.#options.failed(collection, key, error);
  }
}
