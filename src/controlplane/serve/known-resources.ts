import { memos } from "../model/memos.ts";
import type { EncodedResource } from "../translate/index.ts";

/** The versions of lists that were sent on many streams, by name. */
const versionsOfLists = memos.memo<readonly EncodedResource[], ReadonlyMap<string, string>>("versions-of-lists");

function versionsOf(list: readonly EncodedResource[]): ReadonlyMap<string, string> {
  return versionsOfLists.of(list, (resources) => new Map(resources.map(({ name, version }) => [name, version])));
}

/**
 * The versions of the resources that one client has. Most of them come from its first responses, whose versions are
 * stored once for all clients with the same lists.
 */
export class KnownResources {
  #shared: readonly ReadonlyMap<string, string>[] = [];
  /** The differences from the shared lists. Undefined means that the client no longer has the resource. */
  readonly #own = new Map<string, string | undefined>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(name: string): string | undefined {
    return this.#own.has(name) ? this.#own.get(name) : this.#sharedVersion(name);
  }

  /**
   * Records that a client without resources was sent these lists, without reading each resource. Returns false if the
   * client already has something, or if a name is in two lists. The lists must not change afterwards.
   */
  begin(lists: readonly (readonly EncodedResource[])[]): boolean {
    if (this.#size > 0 || this.#own.size > 0) return false;
    const shared = lists.map(versionsOf).toSorted((left, right) => right.size - left.size);
    for (const [index, list] of shared.entries())
      if (shared.slice(0, index).some((larger) => haveCommonName(list, larger))) return false;
    this.#shared = shared;
    for (const list of shared) this.#size += list.size;
    return true;
  }

  set(name: string, version: string): void {
    if (this.get(name) === undefined) this.#size += 1;
    if (this.#sharedVersion(name) === version) this.#own.delete(name);
    else this.#own.set(name, version);
  }

  delete(name: string): void {
    if (this.get(name) === undefined) return;
    this.#size -= 1;
    if (this.#sharedVersion(name) === undefined) this.#own.delete(name);
    else this.#own.set(name, undefined);
  }

  *names(): Iterable<string> {
    for (const shared of this.#shared) for (const name of shared.keys()) if (!this.#own.has(name)) yield name;
    for (const [name, version] of this.#own) if (version !== undefined) yield name;
  }

  /**
   * Records that the client was sent these lists. Versions that equal those of the lists are then stored only there.
   * The lists must not change afterwards.
   */
  share(lists: readonly (readonly EncodedResource[])[]): void {
    const known = [...this.names()].map((name) => [name, this.get(name) ?? ""] as const);
    this.#shared = lists.map(versionsOf);
    this.#own.clear();
    this.#size = 0;
    for (const shared of this.#shared) for (const name of shared.keys()) this.#own.set(name, undefined);
    for (const [name, version] of known) this.set(name, version);
  }

  #sharedVersion(name: string): string | undefined {
    for (const shared of this.#shared) {
      const version = shared.get(name);
      if (version !== undefined) return version;
    }
    return undefined;
  }
}

function haveCommonName(small: ReadonlyMap<string, string>, large: ReadonlyMap<string, string>): boolean {
  for (const name of small.keys()) if (large.has(name)) return true;
  return false;
}
