import { memos } from "../model/memos.ts";
import type { EncodedResource } from "../translate/index.ts";
import { groupsOf, type ResourceView } from "./resource-views/resource-view.ts";

/** The memory of a name besides its characters: its string object and its places in sets. */
const bytesOfName = 200;

/** An estimate of the memory of a name that only one client knows. */
export function bytesOf(name: string): number {
  return bytesOfName + name.length;
}

/** The number of names from which it is worth checking whether other clients request the same ones. */
const leastShared = 64;

const none: ReadonlySet<string> = new Set();
const namesOfLists = memos.memo<readonly EncodedResource[], ReadonlySet<string>>("names-of-lists");

function namesOf(list: readonly EncodedResource[]): ReadonlySet<string> {
  return namesOfLists.of(list, (resources) => new Set(resources.map(({ name }) => name)));
}

/**
 * The names that one client requests. Most clients request everything, and that list is stored once for all of them.
 */
export class WantedNames {
  #shared = none;
  /** Shared names that this client no longer requests. */
  readonly #gone = new Set<string>();
  readonly #own = new Set<string>();
  #ownCharacters = 0;
  /** The own names of which the view had no resource when they were requested. */
  #stray: Set<string> | undefined;
  #strayBytes = 0;

  /** The total length of the names that are stored for this client alone. */
  get characters(): number {
    return this.#ownCharacters;
  }

  /** An estimate of the memory of the names that only this client knows. Names of resources are shared. */
  get bytes(): number {
    return this.#strayBytes;
  }

  get size(): number {
    return this.#shared.size - this.#gone.size + this.#own.size;
  }

  has(name: string): boolean {
    return this.#own.has(name) || (this.#shared.has(name) && !this.#gone.has(name));
  }

  add(name: string): void {
    if (this.#shared.has(name)) this.#gone.delete(name);
    else if (!this.#own.has(name)) {
      this.#own.add(name);
      this.#ownCharacters += name.length;
    }
  }

  delete(name: string): void {
    if (this.#shared.has(name)) this.#gone.add(name);
    else if (this.#own.delete(name)) this.#ownCharacters -= name.length;
    if (this.#stray?.delete(name) === true) this.#strayBytes -= bytesOf(name);
  }

  /**
   * Adds the names of a request. It stores the view's own strings, which all streams share, instead of the request's.
   */
  addAll(names: readonly string[], view: ResourceView): void {
    if (this.size === 0 && names.length >= leastShared && view.groups !== undefined && this.#share(names, view)) return;
    for (const name of names) {
      if (this.has(name)) continue;
      const known = view.get(name)?.name;
      this.add(known ?? name);
      if (known === undefined) this.#addStray(name);
    }
  }

  #addStray(name: string): void {
    (this.#stray ??= new Set()).add(name);
    this.#strayBytes += bytesOf(name);
  }

  *[Symbol.iterator](): IterableIterator<string> {
    for (const name of this.#shared) if (!this.#gone.has(name)) yield name;
    yield* this.#own;
  }

  /**
   * Stores the names as a list that streams share, if the view has a list all of whose names are requested. Returns
   * whether no other names are requested.
   */
  #share(names: readonly string[], view: ResourceView): boolean {
    const requested = new Set(names);
    const shared = groupsOf(view)
      .map(namesOf)
      .find((list) => list.size >= leastShared && list.size <= requested.size && isWithin(list, requested));
    if (shared === undefined) return false;
    this.#shared = shared;
    this.#gone.clear();
    return shared.size === requested.size;
  }
}

function isWithin(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  for (const name of part) if (!whole.has(name)) return false;
  return true;
}
