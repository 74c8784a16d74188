import { invariant } from "../../base/index.ts";
import type { Collection } from "../collection.ts";
import type { Memos, MemoStats } from "../memo/index.ts";
import { BaseCollection, type Change } from "./base-collection.ts";
import { DerivedCollection, type Compute } from "./derived-collection.ts";
import { FlattenedCollection } from "./flattened-collection.ts";
import { SourceCollection } from "./source-collection.ts";
import { structurallyEqual } from "./structurally-equal.ts";

export interface CollectionGraphOptions {
  /** Called at the first write outside a batch. It must call `settle` soon. Without it, the graph settles at once. */
  readonly schedule?: (settle: () => void) => void;
  /**
   * Called when a settling begins. The settling includes all writes before this call, and may include later ones if it
   * pauses.
   */
  readonly begun?: () => void;
  /** Called when all collections have been computed, before subscribers are notified. */
  readonly computed?: () => void;
  /**
   * Called when a computation throws. Its input keeps its previous results. Without this function, the error is
   * rethrown.
   */
  readonly failed?: (collection: string, key: string, error: unknown) => void;
  /**
   * Called when a subscriber throws. The others are still notified. Without this function, the first such error is
   * thrown after all have been notified.
   */
  readonly subscriberFailed?: (collection: string, error: unknown) => void;
  readonly nowMs?: () => number;
  /** The memos that the computations use. The graph shows their statistics. */
  readonly memos?: Memos;
}

/**
 * Collections that depend on each other. A batch of writes to source collections settles collection by collection, in
 * the order of their construction. A computation may read only collections that were constructed earlier, so this order
 * is topological.
 *
 * Subscribers are notified after all collections have settled, so they never see a mixture of old and new items.
 * Collections may be added at any time. Adding one to a filled graph requests a settling, after which it is complete.
 */
export class CollectionGraph {
  readonly #options: CollectionGraphOptions;
  readonly #collections: BaseCollection<unknown>[] = [];
  readonly #derived: (DerivedCollection<unknown, unknown> | FlattenedCollection<unknown, unknown>)[] = [];
  #batchDepth = 0;
  #scheduled = false;
  /** The settling that has begun and has not ended. */
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
   * Creates a collection that is written from outside. A write changes nothing if `equals` finds the new item equal to
   * the old one. The default compares by identity.
   */
  source<Item>(name: string, equals: (left: Item, right: Item) => boolean = Object.is): SourceCollection<Item> {
    const collection = new SourceCollection<Item>(name, this.#collections.length, equals, () => this.#touched());
    this.#collections.push(collection as BaseCollection<unknown>);
    return collection;
  }

  /**
   * Creates a collection that is computed item by item from `input`. A result that equals the previous one is not a
   * change. The default of `equals` compares structurally.
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
   * Creates a collection of the elements of lists, by the elements' own keys. Elements with the same key must be
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

  /** Treats all writes of `run` as one change, and settles afterwards. */
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
   * Settles: computes everything that pending writes affect, and then notifies the subscribers. Repeats this if
   * subscribers write.
   */
  settle(): void {
    if (this.#isWorking || this.#batchDepth > 0) return;
    // A paused settling may have missed writes during its pauses, so settle a second time.
    if (this.#work !== undefined) this.#workFor(Number.POSITIVE_INFINITY);
    this.#workFor(Number.POSITIVE_INFINITY);
  }

  /**
   * Settles for about `budgetMs`. Returns whether the settling has ended. Otherwise, collections contain both old and
   * new items, subscribers have not been notified, and the next call continues.
   */
  settleFor(budgetMs: number): boolean {
    if (this.#isWorking || this.#batchDepth > 0) return false;
    return this.#workFor(budgetMs);
  }

  /** Whether a settling has begun and is paused. */
  get isSettling(): boolean {
    return this.#work !== undefined;
  }

  get collections(): readonly Collection<unknown>[] {
    return this.#collections;
  }

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
    // Writes during a pause do not make the paused settling repeat. Otherwise it would never end under steady writes.
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

  /** The time in milliseconds, without the time spent in pauses. */
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
