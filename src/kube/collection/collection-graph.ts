import { invariant } from "../../base/index.ts";
import type { Collection } from "../collection.ts";
import { BaseCollection, type Change } from "./base-collection.ts";
import { DerivedCollection, type Compute } from "./derived-collection.ts";
import { FlattenedCollection } from "./flattened-collection.ts";
import { SourceCollection } from "./source-collection.ts";
import { structurallyEqual } from "./structurally-equal.ts";

export interface CollectionGraphOptions {
  /** Called at the first write outside a batch; must call `settle` soon. Settles at once when absent. */
  readonly schedule?: (settle: () => void) => void;
  /** Called whenever all has been computed, before the subscribers are told. */
  readonly computed?: () => void;
  /** A computation threw; the input keeps what it yielded before. Throws it on when absent. */
  readonly failed?: (collection: string, key: string, error: unknown) => void;
  /** A subscriber threw; the others were told. When absent, the first such error is thrown when all is settled. */
  readonly subscriberFailed?: (collection: string, error: unknown) => void;
  readonly nowMs?: () => number;
}

/**
 * Collections that depend on each other. Writes to sources are taken in batches; a batch settles in the order of
 * construction, which is a topological one, since a collection may only read what was made before it. Subscribers are
 * told after all has settled, so they never see a mixture of old and new. Collections may be made at any time: what nobody needs yet need not
 * be derived. One that is made late is whole after the next settling, which its making asks for.
 */
export class CollectionGraph {
  readonly #options: CollectionGraphOptions;
  readonly #collections: BaseCollection<unknown>[] = [];
  readonly #derived: (DerivedCollection<unknown, unknown> | FlattenedCollection<unknown, unknown>)[] = [];
  #batchDepth = 0;
  #scheduled = false;
  #settling = false;

  constructor(options: CollectionGraphOptions = {}) {
    this.#options = options;
  }

  /** A collection written from outside; two items are the same when `equals` says so (identity when absent). */
  source<Item>(name: string, equals: (left: Item, right: Item) => boolean = Object.is): SourceCollection<Item> {
    const collection = new SourceCollection<Item>(name, this.#collections.length, equals, () => this.#touched());
    this.#collections.push(collection as BaseCollection<unknown>);
    return collection;
  }

  /** A collection computed item by item from another; equal results (by structure, or by `equals`) go no further. */
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
        nowMs: this.#options.nowMs ?? (() => performance.now()),
      },
    );
    this.#collections.push(collection as BaseCollection<unknown>);
    this.#derived.push(collection as unknown as DerivedCollection<unknown, unknown>);
    if (input.size > 0) this.#touched();
    return collection;
  }

  /** The elements of each item's list, by a key of theirs: elements with one key must be equally good. One is there as long as any list has one. */
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

  /** Takes all writes of `run` as one change, and settles after it. */
  batch(run: () => void): void {
    this.#batchDepth += 1;
    try {
      run();
    } finally {
      this.#batchDepth -= 1;
    }
    if (this.#batchDepth === 0) this.settle();
  }

  /** Computes all that pending writes touch, then tells the subscribers; also what they write in turn. */
  settle(): void {
    if (this.#settling || this.#batchDepth > 0) return;
    this.#settling = true;
    const thrown: unknown[] = [];
    const { subscriberFailed = (_collection: string, error: unknown) => void thrown.push(error) } = this.#options;
    try {
      do {
        this.#scheduled = false;
        this.#settleOnce();
        this.#options.computed?.();
        for (const collection of this.#collections)
          collection.publish((error) => subscriberFailed(collection.name, error));
      } while (this.#scheduled);
    } finally {
      this.#settling = false;
    }
    if (thrown.length > 0) throw thrown[0];
  }

  get collections(): readonly Collection<unknown>[] {
    return this.#collections;
  }

  #settleOnce(): void {
    for (const collection of this.#collections) {
      const changes: readonly Change<unknown>[] = collection.settle();
      if (changes.length === 0) continue;
      for (const derived of this.#derived)
        if (derived.ordinal > collection.ordinal) derived.invalidate(collection, changes);
    }
  }

  #touched(): void {
    if (this.#scheduled || this.#batchDepth > 0) return;
    this.#scheduled = true;
    if (this.#settling) return;
    const schedule = this.#options.schedule ?? ((settle: () => void) => settle());
    schedule(() => this.settle());
  }

  #failed(collection: string, key: string, error: unknown): void {
    if (this.#options.failed === undefined) throw error;
    this.#options.failed(collection, key, error);
  }
}
