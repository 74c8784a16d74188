import type { BaseCollection, StoredIndex } from "./base-collection.ts";

/** Something that readers can depend on: one key of a collection or of an index, or all of a collection. */
interface Dependency {
  readonly inputs: Set<string>;
  drop(): void;
}

/**
 * Who read what, for one derived collection: from each thing read to the keys of the inputs whose computation read it,
 * and back, so that what an input read before can be forgotten when it is computed again.
 */
export class DependencyRecorder {
  readonly #byKey = new Map<BaseCollection<unknown> | StoredIndex<unknown>, Map<string, Dependency>>();
  readonly #byWhole = new Map<BaseCollection<unknown>, Dependency>();
  readonly #byInput = new Map<string, Set<Dependency>>();

  readKey(target: BaseCollection<unknown> | StoredIndex<unknown>, key: string, input: string): void {
    let keys = this.#byKey.get(target);
    if (keys === undefined) this.#byKey.set(target, (keys = new Map()));
    let dependency = keys.get(key);
    if (dependency === undefined) {
      const owner = keys;
      dependency = { inputs: new Set(), drop: () => void owner.delete(key) };
      keys.set(key, dependency);
    }
    this.#record(dependency, input);
  }

  readAll(target: BaseCollection<unknown>, input: string): void {
    let dependency = this.#byWhole.get(target);
    if (dependency === undefined) {
      dependency = { inputs: new Set(), drop: () => void this.#byWhole.delete(target) };
      this.#byWhole.set(target, dependency);
    }
    this.#record(dependency, input);
  }

  inputsOfKey(target: BaseCollection<unknown> | StoredIndex<unknown>, key: string): Iterable<string> {
    return this.#byKey.get(target)?.get(key)?.inputs ?? [];
  }

  inputsOfAll(target: BaseCollection<unknown>): Iterable<string> {
    return this.#byWhole.get(target)?.inputs ?? [];
  }

  /** Forgets what an input's computation read. */
  forget(input: string): void {
    for (const dependency of this.#byInput.get(input) ?? []) {
      dependency.inputs.delete(input);
      if (dependency.inputs.size === 0) dependency.drop();
    }
    this.#byInput.delete(input);
  }

  #record(dependency: Dependency, input: string): void {
    dependency.inputs.add(input);
    let read = this.#byInput.get(input);
    if (read === undefined) this.#byInput.set(input, (read = new Set()));
    read.add(dependency);
  }
}
