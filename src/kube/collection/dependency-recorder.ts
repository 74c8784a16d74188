import type { BaseCollection, StoredIndex } from "./base-collection.ts";

/** Something that readers can depend on: one key of a collection or of an index, or all of a collection. */
interface Dependency {
  readonly inputs: Set<string>;
  /** The last computation that read it, so that reading twice in one costs nothing. */
  run: number;
  drop(): void;
}

/**
 * Who read what, for one derived collection: from each thing read to the keys of the inputs whose computation read it,
 * and back, so that what an input read before can be forgotten when it is computed again. An input that reads the same
 * things as the last time, as most do, changes nothing here.
 */
export class DependencyRecorder {
  readonly #byKey = new Map<BaseCollection<unknown> | StoredIndex<unknown>, Map<string, Dependency>>();
  readonly #byWhole = new Map<BaseCollection<unknown>, Dependency>();
  readonly #byInput = new Map<string, readonly Dependency[]>();
  #run = 0;
  #input = "";
  #read: Dependency[] = [];

  /** What is read from now on is read by this input's computation, until {@link finish}. */
  begin(input: string): void {
    this.#run += 1;
    this.#input = input;
    this.#read = [];
  }

  /** Forgets what the input's computation read before and did not read now. */
  finish(): void {
    const before = this.#byInput.get(this.#input);
    if (this.#read.length === 0) this.#byInput.delete(this.#input);
    else this.#byInput.set(this.#input, this.#read);
    for (const dependency of before ?? []) {
      if (dependency.run === this.#run) continue;
      dependency.inputs.delete(this.#input);
      if (dependency.inputs.size === 0) dependency.drop();
    }
  }

  readKey(target: BaseCollection<unknown> | StoredIndex<unknown>, key: string): void {
    let keys = this.#byKey.get(target);
    if (keys === undefined) this.#byKey.set(target, (keys = new Map()));
    let dependency = keys.get(key);
    if (dependency === undefined) {
      const owner = keys;
      dependency = { inputs: new Set(), run: 0, drop: () => void owner.delete(key) };
      keys.set(key, dependency);
    }
    this.#record(dependency);
  }

  /** Whether any computation read of it by key. */
  hasReadKeys(target: BaseCollection<unknown> | StoredIndex<unknown>): boolean {
    return this.#byKey.has(target);
  }

  readAll(target: BaseCollection<unknown>): void {
    let dependency = this.#byWhole.get(target);
    if (dependency === undefined) {
      dependency = { inputs: new Set(), run: 0, drop: () => void this.#byWhole.delete(target) };
      this.#byWhole.set(target, dependency);
    }
    this.#record(dependency);
  }

  inputsOfKey(target: BaseCollection<unknown> | StoredIndex<unknown>, key: string): Iterable<string> {
    return this.#byKey.get(target)?.get(key)?.inputs ?? nobody;
  }

  inputsOfAll(target: BaseCollection<unknown>): Iterable<string> {
    return this.#byWhole.get(target)?.inputs ?? nobody;
  }

  #record(dependency: Dependency): void {
    if (dependency.run === this.#run) return;
    dependency.run = this.#run;
    dependency.inputs.add(this.#input);
    this.#read.push(dependency);
  }
}

const nobody: readonly string[] = [];
