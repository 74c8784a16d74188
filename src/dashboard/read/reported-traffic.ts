import type { Namespace, Pod, Service, WebhookConfiguration } from "../../api/kubernetes/index.ts";
import { controlPlaneNamespaces, ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import { istioLabels } from "../../api/istio/index.ts";

export interface ReportersObjects {
  readonly injectors: readonly WebhookConfiguration[];
  readonly namespaces: readonly Namespace[];
  readonly services: readonly Service[];
}

type SeriesLabels = Readonly<Record<string, string>>;

/**
 * Decides which series of a pod are accepted. Anybody who may start a pod decides what it reports, so a pod may report
 * only its own namespace's side of a call: a client's proxy is the source, a server's is the destination, and a
 * waypoint reports for namespaces that use it. A ztunnel may report everything if it runs in a namespace in which
 * ztunnels belong.
 */
export class TrafficReporters {
  readonly #ztunnels: ReadonlySet<string>;
  readonly #objects: ReportersObjects;
  /** By the name of a namespace, the namespaces whose waypoints it uses. */
  #waypoints: Map<string, Set<string>> | undefined;

  constructor(objects: ReportersObjects) {
    this.#objects = objects;
    this.#ztunnels = ztunnelNamespaces(controlPlaneNamespaces(objects.injectors));
  }

  mayReport({ metadata }: Pod, labels: SeriesLabels): boolean {
    const { namespace = "" } = metadata;
    if (metadata.labels?.["app"] === "ztunnel" && this.#ztunnels.has(namespace)) return true;
    const source = labels["source_workload_namespace"] ?? "";
    const destination = labels["destination_workload_namespace"] ?? "";
    const service = labels["destination_service_namespace"] ?? "";
    const isOwn = (name: string): boolean => name === namespace;
    const isOwnOrUnknown = (name: string): boolean => isOwn(name) || name === "" || name === "unknown";
    switch (labels["reporter"]) {
      case "source":
        return isOwn(source) || [source, destination, service].every(isOwnOrUnknown);
      case "waypoint":
        return [destination, service].some((name) => isOwn(name) || this.#usesWaypointOf(name, namespace));
      default:
        return isOwn(destination) || [source, destination, service].every(isOwnOrUnknown);
    }
  }

  #usesWaypointOf(namespace: string, other: string): boolean {
    this.#waypoints ??= waypointNamespaces(this.#objects);
    return this.#waypoints.get(namespace)?.has(other) === true;
  }
}

function waypointNamespaces({ namespaces, services }: ReportersObjects): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>();
  for (const { metadata } of [...namespaces, ...services]) {
    // Namespaces have no `metadata.namespace`.
    const namespace = metadata.namespace ?? metadata.name ?? "";
    const other = metadata.labels?.[istioLabels.useWaypointNamespace];
    if (other !== undefined) used.set(namespace, (used.get(namespace) ?? new Set()).add(other));
  }
  return used;
}
