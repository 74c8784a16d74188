import type { EncodedResource } from "../../translate/index.ts";
import type { ResourceView } from "./resource-view.ts";

/**
 * A view that many streams share. It follows the view behind it once for all of them. As long as it has a follower, it
 * caches the resources. It returns the same list object until something changes.
 */
export class SharedView implements ResourceView {
  readonly #inner: ResourceView;
  readonly #followers = new Set<(names: readonly string[]) => void>();
  #following: Disposable | undefined;
  #byName: Map<string, EncodedResource> | undefined;
  #all: readonly EncodedResource[] | undefined;

  constructor(inner: ResourceView) {
    this.#inner = inner;
  }

  get isFollowed(): boolean {
    return this.#following !== undefined;
  }

  get(name: string): EncodedResource | undefined {
    return this.#following === undefined ? this.#inner.get(name) : this.#resources().get(name);
  }

  all(): Iterable<EncodedResource> {
    return this.#following === undefined ? this.#inner.all() : this.#list();
  }

  groups(): readonly (readonly EncodedResource[])[] {
    return this.#following === undefined ? [[...this.#inner.all()]] : [this.#list()];
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    // Two subscriptions of one stream may pass the same function, so wrap it.
    const follower = (names: readonly string[]): void => changed(names);
    this.#followers.add(follower);
    this.#following ??= this.#inner.subscribe((names) => this.#changed(names));
    return {
      [Symbol.dispose]: () => {
        this.#followers.delete(follower);
        if (this.#followers.size === 0) this.#rest();
      },
    };
  }

  #resources(): ReadonlyMap<string, EncodedResource> {
    this.#byName ??= new Map([...this.#inner.all()].map((resource) => [resource.name, resource]));
    return this.#byName;
  }

  #list(): readonly EncodedResource[] {
    this.#all ??= [...this.#resources().values()];
    return this.#all;
  }

  #changed(names: readonly string[]): void {
    this.#all = undefined;
    if (this.#byName !== undefined) {
      for (const name of names) {
        const resource = this.#inner.get(name);
        if (resource === undefined) this.#byName.delete(name);
        else this.#byName.set(name, resource);
      }
    }
    for (const follower of this.#followers) follower(names);
  }

  /** Forgets the cache when the last follower leaves, because nothing keeps it up to date then. */
  #rest(): void {
    this.#following?.[Symbol.dispose]();
    this.#following = undefined;
    this.#byName = undefined;
    this.#all = undefined;
  }
}
