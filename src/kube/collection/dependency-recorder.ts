import type { BaseCollection, StoredIndex } from "./base-collection.ts";

/** A target of a dependency: one key of a collection or an index, or a whole collection. */
class Dependency {
  /** The last computation that read the dependency. A second read in the same computation costs nothing. */
  run = 0;
  readonly #owner: Map<unknown, Dependency>;
  readonly #key: unknown;
  /** The inputs that read the dependency. Most dependencies have few, and a set would take most of the memory. */
  #inputs: string[] | Set<string> | undefined;

  constructor(owner: Map<unknown, Dependency>, key: unknown) {
    this.#owner = owner;
    this.#key = key;
    owner.set(key, this);
  }

  get inputs(): Iterable<string> {
    return this.#inputs ?? nobody;
  }

  add(input: string): void {
    // An array that is created with one element allocates memory for only one.
    if (this.#inputs === undefined) this.#inputs = [input];
    else if (!Array.isArray(this.#inputs)) this.#inputs.add(input);
    else if (!this.#inputs.includes(input)) {
      if (this.#inputs.length < maxListed) this.#inputs.push(input);
      else this.#inputs = new Set(this.#inputs).add(input);
    }
  }

  /** Removes an input. Without inputs, the dependency is dropped. */
  delete(input: string): void {
    if (Array.isArray(this.#inputs)) {
      const at = this.#inputs.indexOf(input);
      if (at >= 0) this.#inputs.splice(at, 1);
      if (this.#inputs.length > 0) return;
    } else if (this.#inputs !== undefined) {
      this.#inputs.delete(input);
      if (this.#inputs.size > 0) return;
    }
    this.#owner.delete(this.#key);
  }
}

const nobody: readonly string[] = [];
/** Beyond this number of strings, a set is faster than a linear search. */
const maxListed = 32;

/**
 * Records the reads of one derived collection in both directions: from each source to the inputs that read it, and
 * back. When an input is computed again, its previous reads are dropped. Most inputs read the same keys again, which
 * changes nothing.
 */
export class DependencyRecorder {
  readonly #byKey = new Map<BaseCollection<unknown> | StoredIndex<unknown>, Map<string, Dependency>>();
  readonly #byWhole = new Map<BaseCollection<unknown>, Dependency>();
  readonly #byInput = new Map<string, readonly Dependency[]>();
  #run = 0;
  #input = "";
  #read: Dependency[] = [];

  /** Starts to record reads for this input's computation, until {@link finish}. */
  begin(input: string): void {
    this.#run += 1;
    this.#input = input;
    this.#read = [];
  }

  /** Drops the input's previous reads that it did not repeat. */
  finish(): void {
    const before = this.#byInput.get(this.#input);
    if (this.#read.length === 0) this.#byInput.delete(this.#input);
    else this.#byInput.set(this.#input, this.#read.slice());
    for (const dependency of before ?? []) {
      if (dependency.run !== this.#run) dependency.delete(this.#input);
    }
  }

  readKey(target: BaseCollection<unknown> | StoredIndex<unknown>, key: string): void {
    let keys = this.#byKey.get(target);
    if (keys === undefined) this.#byKey.set(target, (keys = new Map()));
    this.#record(keys.get(key) ?? new Dependency(keys, key));
  }

  /** Whether any computation has read the target by key. */
  hasReadKeys(target: BaseCollection<unknown> | StoredIndex<unknown>): boolean {
    return this.#byKey.has(target);
  }

  readAll(target: BaseCollection<unknown>): void {
    this.#record(this.#byWhole.get(target) ?? new Dependency(this.#byWhole, target));
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
    dependency.add(this.#input);
    this.#read.push(dependency);
  }
}
