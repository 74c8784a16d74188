import type { BaseCollection, StoredIndex } from "./base-collection.ts";

/** Something that readers can depend on: one key of a collection or of an index, or all of a collection. */
class Dependency {
  /** The last computation that read it, so that reading twice in one costs nothing. */
  run = 0;
  readonly #owner: Map<unknown, Dependency>;
  readonly #key: unknown;
  /** Most have few inputs, for which a set would be most of the memory. */
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
    // A list that begins with an element has room for no more than that.
    if (this.#inputs === undefined) this.#inputs = [input];
    else if (!Array.isArray(this.#inputs)) this.#inputs.add(input);
    else if (!this.#inputs.includes(input)) {
      if (this.#inputs.length < maxListed) this.#inputs.push(input);
      else this.#inputs = new Set(this.#inputs).add(input);
    }
  }

  /** Nobody depends on it any more: it is forgotten. */
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
/** To look through more strings than this takes longer than a set does. */
const maxListed = 32;

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

  /** Whether any computation read of it by key. */
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
