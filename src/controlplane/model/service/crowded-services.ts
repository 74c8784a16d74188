import { endpointShare } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import {
  compareText,
  factsKey,
  type Labels,
  type PodFacts,
  type ServiceFacts,
  type SliceFacts,
  type WorkloadEntryFacts,
} from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { selectedBy } from "../selection.ts";
import { workloadEntriesByLabel, workloadEntryLabels } from "../workload-entry.ts";
import { podsByLabel, podsSelectedBy } from "./selected-pods.ts";

export interface ServiceCrowd {
  /** Whether the Service selects a ready pod. Terminating pods depend only on this, and not on each other pod. */
  readonly hasReadyPod: boolean;
  /**
   * The workloads that ztunnels get with this service, by {@link podMember} and {@link entryMember}. Undefined means
   * all: it is set only if the service has more workloads than its clusters may have endpoints.
   */
  readonly members: ReadonlySet<string> | undefined;
}

export interface ServiceCrowds {
  /** The Services by `namespace/name`. */
  readonly services: Collection<ServiceCrowd>;
  /** The ServiceEntries by `namespace/name`. */
  readonly entries: Collection<ServiceCrowd>;
}

export function podMember(pod: Pick<PodFacts, "namespace" | "name">): string {
  return `Pod ${factsKey(pod)}`;
}

export function entryMember(entry: Pick<WorkloadEntryFacts, "namespace" | "name">): string {
  return `WorkloadEntry ${factsKey(entry)}`;
}

/**
 * Chooses the workloads of services that have too many. A ztunnel gets each workload with the ports of all its
 * services, so its memory grows with the product of a service's ports and workloads. The maximum is that for the
 * endpoints of other proxies.
 */
export function deriveServiceCrowds(graph: CollectionGraph, inputs: MeshInputs): ServiceCrowds {
  const pods = podsByLabel(inputs);
  const workloadEntries = workloadEntriesByLabel(inputs);
  const slices = inputs.slices.index("service", (slice) => [slice.service]);
  const crowdOf = (namespace: string, selector: Labels, clusters: number, reader: CollectionReader): ServiceCrowd => {
    const selected = podsSelectedBy(pods, namespace, selector, reader);
    const entries = selectedBy(workloadEntries, namespace, selector, workloadEntryLabels, reader);
    return {
      hasReadyPod: selected.some(({ ready }) => ready),
      members: membersOf(selected, entries, endpointShare(clusters)),
    };
  };
  const listed = (service: ServiceFacts, key: string, reader: CollectionReader): ServiceCrowd => {
    const most = endpointShare(service.ports.length);
    const own = orderedSlices(reader.lookup(slices, key), most);
    const total = own.reduce((sum, { endpoints }) => sum + endpoints.length, 0);
    const names = own.flatMap(({ endpoints }) => endpoints.map(({ pod }) => `Pod ${pod}`));
    return { hasReadyPod: false, members: total <= most ? undefined : new Set(names.slice(0, most)) };
  };
  return {
    services: graph.derive(
      "service-crowds",
      inputs.services,
      (service, reader, key): Iterable<readonly [string, ServiceCrowd]> => [
        [
          key,
          Object.keys(service.selector).length === 0
            ? listed(service, key, reader)
            : crowdOf(service.namespace, service.selector, service.ports.length, reader),
        ],
      ],
      sameCrowd,
    ),
    entries: graph.derive(
      "service-entry-crowds",
      inputs.serviceEntries,
      ({ namespace, spec }, reader, key): Iterable<readonly [string, ServiceCrowd]> =>
        spec.workloadSelector === undefined
          ? []
          : [[key, crowdOf(namespace, spec.workloadSelector.labels, spec.hosts.length * spec.ports.length, reader)]],
      sameCrowd,
    ),
  };
}

function membersOf(
  pods: readonly PodFacts[],
  entries: readonly WorkloadEntryFacts[],
  most: number,
): ReadonlySet<string> | undefined {
  if (pods.length + entries.length <= most) return undefined;
  const chosen = firstByName(entries, most);
  return new Set([...chosen.map(entryMember), ...firstByName(pods, most - chosen.length).map(podMember)]);
}

function sameCrowd(left: ServiceCrowd, right: ServiceCrowd): boolean {
  if (left.hasReadyPod !== right.hasReadyPod || left.members?.size !== right.members?.size) return false;
  return left.members === undefined || (right.members !== undefined && left.members.isSubsetOf(right.members));
}

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/** All objects or, if there are more than the maximum, the first ones by name. */
export function firstByName<Item extends Named>(items: readonly Item[], most: number): readonly Item[] {
  return items.length <= most ? items : sortedByName(items).slice(0, most);
}

/**
 * The slices in the order in which their endpoints are used. They are sorted by name only if they have more endpoints
 * than the maximum, because otherwise all endpoints are used.
 */
export function orderedSlices<Slice extends Pick<SliceFacts, "namespace" | "name" | "endpoints">>(
  slices: readonly Slice[],
  most: number,
): readonly Slice[] {
  const total = slices.reduce((sum, { endpoints }) => sum + endpoints.length, 0);
  return total <= most ? slices : sortedByName(slices);
}

function sortedByName<Item extends Named>(items: readonly Item[]): readonly Item[] {
  return [...items].sort((left, right) => compareText(factsKey(left), factsKey(right)));
}
