import type { BaseCollection, StoredIndex } from "./base-collection.ts";

/** What computations can depend on: one key of a collection or an index, or a whole collection. */
class Dependency {
  /** The number of the last run that read this dependency. A second read in the same run can be skipped. */
  run = 0;
  readonly #owner: Map<unknown, Dependency>;
  readonly #key: unknown;
  /**
   * The inputs whose computations read this dependency. Usually they are few, and a list needs less memory than a set.
   */
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
    // An array literal with one element allocates memory for only one element.
    if (this.#inputs === undefined) this.#inputs = [input];
    else if (!Array.isArray(this.#inputs)) this.#inputs.add(input);
    else if (!this.#inputs.includes(input)) {
      if (this.#inputs.length < maxListed) this.#inputs.push(input);
      else this.#inputs = new Set(this.#inputs).add(input);
    }
  }

  /** Removes an input. Without any input, the dependency itself is removed. */
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
/** The number of inputs above which a set is faster than a linear search. */
const maxListed = 32;

/**
 * Records the reads of one derived collection: which inputs read each dependency, and which dependencies each input has
 * read. A new computation of an input replaces the input's previous reads. Most computations read the same keys again,
 * and then nothing changes.
 */
export class DependencyRecorder {
  readonly #byKey = new Map<BaseCollection<unknown> | StoredIndex<unknown>, Map<string, Dependency>>();
  readonly #byWhole = new Map<BaseCollection<unknown>, Dependency>();
  readonly #byInput = new Map<string, readonly Dependency[]>();
  #run = 0;
  #input = "";
  #read: Dependency[] = [];

  /** Records the reads of this input's computation until {@link finish} is called. */
  begin(input: string): void {
    this.#run += 1;
    this.#input = input;
    this.#read = [];
  }

  /** Removes the input's previous reads that its new computation did not repeat. */
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
