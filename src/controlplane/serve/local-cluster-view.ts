import { localClusterName } from "../../wire/xds/index.ts";
import { noLocalEndpoints, type EncodedResource, type LocalClusters } from "../translate/index.ts";
import { joined, type ResourceView } from "./resource-view.ts";

/** The endpoints of a sidecar's own workload, under the one name by which it requests them. */
export class LocalClusterView implements ResourceView {
  readonly #clusters: LocalClusters;
  readonly #pod: string;

  /** `pod` is the scope of its inbound resources. */
  constructor(clusters: LocalClusters, pod: string) {
    this.#clusters = clusters;
    this.#pod = pod;
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
    const { groups, assignments } = this.#clusters;
    return joined([
      groups.onChange((changes) => {
        if (changes.some(({ key }) => key === this.#pod)) look();
      }),
      assignments.onChange(look),
    ]);
  }

  #current(): EncodedResource {
    const group = this.#clusters.groups.get(this.#pod);
    return (group === undefined ? undefined : this.#clusters.assignments.get(group.key)) ?? noLocalEndpoints;
  }
}
