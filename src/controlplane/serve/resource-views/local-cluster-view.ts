import { localClusterName } from "../../../wire/xds/index.ts";
import { noLocalEndpoints, type EncodedResource, type LocalClusters } from "../../translate/index.ts";
import { joined, type ResourceView } from "./resource-view.ts";

/** Where the endpoints of a sidecar may be. `key` is the scope of its inbound resources. */
export interface LocalClusterPlace {
  readonly clusters: LocalClusters;
  readonly key: string;
}

/** The endpoints of a sidecar's own workload, under the one name by which sidecars request them. */
export class LocalClusterView implements ResourceView {
  readonly #places: readonly LocalClusterPlace[];

  constructor(places: readonly LocalClusterPlace[]) {
    this.#places = places;
  }

  get(name: string): EncodedResource | undefined {
    return name === localClusterName ? this.#current() : undefined;
  }

  all(): Iterable<EncodedResource> {
    return [this.#current()];
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    let announced = this.#current();
    const look = (): void => {
      const now = this.#current();
      if (now === announced) return;
      announced = now;
      changed([localClusterName]);
    };
    return joined(
      this.#places.flatMap(({ clusters: { groups, assignments }, key: own }) => [
        groups.onChange((changes) => {
          if (changes.some(({ key }) => key === own)) look();
        }),
        assignments.onChange(look),
      ]),
    );
  }

  #current(): EncodedResource {
    for (const { clusters, key } of this.#places) {
      const group = clusters.groups.get(key);
      const assignment = group === undefined ? undefined : clusters.assignments.get(group.key);
      if (assignment !== undefined) return assignment;
    }
    return noLocalEndpoints;
  }
}
