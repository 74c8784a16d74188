import type { EncodedResource } from "../../translate/index.ts";
import { groupsOf, type ResourceView } from "./resource-view.ts";

/** Converts each resource of another view. The resource must keep its name. */
export class MappedView implements ResourceView {
  readonly known = (): boolean => this.#inner.known?.() ?? true;
  readonly #inner: ResourceView;
  readonly #map: (resource: EncodedResource) => EncodedResource;

  constructor(inner: ResourceView, map: (resource: EncodedResource) => EncodedResource) {
    this.#inner = inner;
    this.#map = map;
  }

  get(name: string): EncodedResource | undefined {
    const found = this.#inner.get(name);
    return found === undefined ? undefined : this.#map(found);
  }

  *all(): Iterable<EncodedResource> {
    for (const resource of this.#inner.all()) yield this.#map(resource);
  }

  groups(): readonly (readonly EncodedResource[])[] {
    return groupsOf(this.#inner).map((group) => group.map((resource) => this.#map(resource)));
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return this.#inner.subscribe(changed);
  }
}
