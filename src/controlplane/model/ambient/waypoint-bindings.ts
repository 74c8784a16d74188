import { istioLabels } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { allowsNamespace } from "../allowed-namespaces.ts";
import { byAge, type Labels, type PodFacts } from "../facts.ts";
import { eastWestManagedBy, waypointsManagedBy } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { entryVisibilityOf } from "../service/service-entry-visibility.ts";
import { podsByLabel, podsSelectedBy } from "../service/selected-pods.ts";
import { fullWeight, weightOf } from "./waypoint-weight.ts";
import type { Waypoint, Waypoints } from "./waypoint.ts";

/** Why an object does not get the waypoint that it names, in the words of a status condition. */
export interface WaypointFault {
  readonly reason: string;
  readonly message: string;
}

export interface WaypointBinding {
  readonly waypoint?: Waypoint | undefined;
  /** Why the waypoint or its canary is not used. */
  readonly fault?: WaypointFault | undefined;
}

export interface WaypointShare {
  readonly waypoint: Waypoint;
  readonly weight: number;
}

interface Subject {
  readonly namespace: string;
  readonly labels: Labels;
}

interface ServiceSubject extends Subject {
  readonly selector: Labels;
  readonly waypointCanaryWeight?: string | undefined;
  /** The kind of a service that a ServiceEntry defines: `ServiceEntry` or `External`. */
  readonly source?: string;
  readonly registry?: string;
}

export class WaypointBindings {
  readonly #inputs: MeshInputs;
  readonly #waypoints: Waypoints;

  constructor(inputs: MeshInputs, waypoints: Waypoints) {
    this.#inputs = inputs;
    this.#waypoints = waypoints;
  }

  /**
   * The waypoint that the Service's labels name, or else the waypoint of an account that some of the Service's pods
   * use.
   */
  ofService(service: ServiceSubject, reader: CollectionReader): Waypoint | undefined {
    return this.bindingOfService(service, reader).waypoint;
  }

  bindingOfService(service: ServiceSubject, reader: CollectionReader): WaypointBinding {
    if (waypointManagers.has(service.labels[istioLabels.gatewayManaged] ?? "")) return {};
    const bound = this.#bindingOf(service, "service", reader);
    if (bound?.waypoint !== undefined && this.#isHidden(service, bound.waypoint, reader))
      return {
        fault: {
          reason: "CrossNamespaceWaypointForbidden",
          message: `the waypoint "${bound.waypoint.key}" is in another namespace, and serviceEntryVisibility of the mesh config limits the ServiceEntry to its own`,
        },
      };
    if (bound?.waypoint !== undefined)
      return { waypoint: bound.waypoint, fault: this.#canaryOf(service, bound.waypoint, reader)?.fault };
    return bound ?? { waypoint: this.#ofPods(service, reader) };
  }

  /**
   * Whether the waypoint must not serve a ServiceEntry: because nobody may see the entry, or because only the entry's
   * own namespace may and the waypoint is in another one.
   */
  #isHidden({ namespace, source, registry }: ServiceSubject, waypoint: Waypoint, reader: CollectionReader): boolean {
    if (source !== "ServiceEntry" && registry !== "External") return false;
    const visibility = entryVisibilityOf(namespace, this.#inputs, reader);
    return visibility === "NONE" || (visibility === "NAMESPACE" && waypoint.namespace !== namespace);
  }

  #ofPods(service: ServiceSubject, reader: CollectionReader): Waypoint | undefined {
    if (reader.lookup(this.#waypoints.byNamespace, service.namespace).length === 0) return undefined;
    const pods = podsSelectedBy(podsByLabel(this.#inputs), service.namespace, service.selector, reader).filter(
      (pod) => !isGatewayPod(pod),
    );
    const accounts = [...new Set(pods.map((pod) => pod.serviceAccount))].sort();
    return accounts.flatMap((account) => this.#ofAccount(service.namespace, account, reader) ?? [])[0];
  }

  /**
   * The waypoints that share a Service's connections: its waypoint, and the canary of this waypoint if the canary can
   * be used. Empty if the Service has no waypoint.
   */
  sharesOfService(service: ServiceSubject, reader: CollectionReader): readonly WaypointShare[] {
    const primary = this.ofService(service, reader);
    if (primary === undefined) return [];
    const canary = this.#canaryOf(service, primary, reader)?.share;
    if (canary === undefined || !canary.waypoint.published || !canary.waypoint.ready)
      return [{ waypoint: primary, weight: fullWeight }];
    return [{ waypoint: primary, weight: fullWeight - canary.weight }, canary];
  }

  /**
   * All waypoints that a Service names, even those that are not ready, because they get their configuration in advance.
   */
  waypointsOfService(service: ServiceSubject, reader: CollectionReader): readonly Waypoint[] {
    const primary = this.ofService(service, reader);
    if (primary === undefined) return [];
    const canary = this.#canaryOf(service, primary, reader)?.share;
    return canary === undefined ? [primary] : [primary, canary.waypoint];
  }

  /**
   * The canary of a Service's waypoint, by the Service's labels. As in upstream, the namespace's labels count for a
   * Service that has its waypoint from the namespace.
   */
  #canaryOf(
    service: ServiceSubject,
    primary: Waypoint,
    reader: CollectionReader,
  ): { readonly share?: WaypointShare; readonly fault?: WaypointFault } | undefined {
    const { namespace } = service;
    const inherited =
      service.labels[istioLabels.useWaypoint] === undefined
        ? reader.get(this.#inputs.namespaces, namespace)
        : undefined;
    const wanted = waypointByLabels(namespace, [service.labels, inherited?.labels ?? {}], canaryLabels);
    if (wanted === undefined || wanted.name === "" || isNone(wanted)) return undefined;
    const key = `${wanted.namespace}/${wanted.name}`;
    if (key === primary.key)
      return {
        fault: { reason: "CanarySameAsPrimary", message: `the canary waypoint "${key}" is the primary waypoint too` },
      };
    const weight = weightOf(service.waypointCanaryWeight ?? inherited?.waypointCanaryWeight ?? "0");
    if (weight === undefined)
      return {
        fault: {
          reason: "CanaryInvalidWeight",
          message: `the canary waypoint "${key}" has a weight that is not a whole number from 0 to 100`,
        },
      };
    const { waypoint, fault } = this.#usable(wanted, service, "service", reader);
    return waypoint === undefined ? (fault === undefined ? undefined : { fault }) : { share: { waypoint, weight } };
  }

  /**
   * The waypoint of a pod. The pod's own label takes precedence, even if it is `none` or names a waypoint that is
   * unavailable.
   */
  ofPod(pod: PodFacts, reader: CollectionReader): Waypoint | undefined {
    if (isGatewayPod(pod)) return undefined;
    const bound = this.#bindingOf(pod, "workload", reader);
    return bound === undefined ? this.#ofAccount(pod.namespace, pod.serviceAccount, reader) : bound.waypoint;
  }

  /**
   * The binding of a workload that is not a pod. A waypoint that only the namespace names does not apply if it accepts
   * no workloads.
   */
  bindingOfEntry(entry: Subject, reader: CollectionReader): WaypointBinding {
    const bound = this.#bindingOf(entry, "workload", reader);
    const isInherited = entry.labels[istioLabels.useWaypoint] === undefined;
    return bound === undefined || (isInherited && bound.fault?.reason === unsupportedTraffic) ? {} : bound;
  }

  #bindingOf(subject: Subject, traffic: "service" | "workload", reader: CollectionReader): WaypointBinding | undefined {
    const wanted = wantedWaypoint(subject, this.#inputs, reader);
    if (wanted === undefined) return undefined;
    return isNone(wanted) ? {} : this.#usable(wanted, subject, traffic, reader);
  }

  #usable(
    wanted: WantedWaypoint,
    subject: Subject,
    traffic: "service" | "workload",
    reader: CollectionReader,
  ): WaypointBinding {
    const key = `${wanted.namespace}/${wanted.name}`;
    const waypoint = reader.get(this.#waypoints.all, key) ?? reader.get(this.#waypoints.gateways, key);
    const gateway = reader.get(this.#inputs.gateways, key);
    if (waypoint === undefined || gateway === undefined) return { fault: waypointNotReady(key) };
    if (!gateway.spec.listeners.some((listener) => allowsNamespace(listener, subject, gateway, this.#inputs, reader))) {
      return {
        fault: {
          reason: "AttachmentDenied",
          message: `the waypoint "${key}" accepts nothing from the namespace "${subject.namespace}": see allowedRoutes of its listeners`,
        },
      };
    }
    if (waypoint.takes !== traffic && waypoint.takes !== "all") {
      return {
        fault: {
          reason: unsupportedTraffic,
          message: `the waypoint "${key}" does not accept traffic to a ${traffic}; it accepts: ${waypoint.takes}`,
        },
      };
    }
    return { waypoint };
  }

  /** The waypoint of an account. If several Gateways use the account, the oldest wins. */
  #ofAccount(namespace: string, account: string, reader: CollectionReader): Waypoint | undefined {
    const found = reader.lookup(this.#waypoints.byAccount, `${namespace}/${account}`);
    if (found.length < 2) return found[0];
    const gateways = found
      .flatMap((waypoint) => reader.get(this.#inputs.gateways, `${namespace}/${waypoint.gateway}`) ?? [])
      .sort(byAge);
    return found.find((waypoint) => waypoint.gateway === gateways[0]?.name);
  }
}

const unsupportedTraffic = "UnsupportedTrafficType";
/** Who manages Services that have no waypoint themselves: those of waypoints and of gateways between networks. */
const waypointManagers: ReadonlySet<string> = new Set([waypointsManagedBy, eastWestManagedBy]);

export function waypointNotReady(key: string): WaypointFault {
  return { reason: "WaypointIsNotReady", message: `the waypoint "${key}" is not ready` };
}

interface WantedWaypoint {
  readonly namespace: string;
  readonly name: string;
}

const primaryLabels = { name: istioLabels.useWaypoint, namespace: istioLabels.useWaypointNamespace };
const canaryLabels = { name: istioLabels.useWaypointCanary, namespace: istioLabels.useWaypointCanaryNamespace };

/**
 * The waypoint that an object names by its label `istio.io/use-waypoint`, or else the one that its namespace names. As
 * in upstream, an object's empty label also takes precedence, and names a waypoint that never exists. Undefined if
 * neither has the label.
 */
export function wantedWaypoint(
  { namespace, labels }: Pick<Subject, "namespace" | "labels">,
  inputs: MeshInputs,
  reader: CollectionReader,
): WantedWaypoint | undefined {
  return labels[primaryLabels.name] === undefined
    ? waypointByLabels(namespace, [reader.get(inputs.namespaces, namespace)?.labels ?? {}], primaryLabels)
    : waypointByLabels(namespace, [labels], primaryLabels);
}

/** Whether the label opts out of a waypoint. No waypoint can have this name. */
export function isNone({ name }: WantedWaypoint): boolean {
  return name === "none";
}

/** The waypoint that the first of these label sets with the label names. */
function waypointByLabels(
  namespace: string,
  candidates: readonly Labels[],
  by: { readonly name: string; readonly namespace: string },
): WantedWaypoint | undefined {
  const labels = candidates.find((candidate) => candidate[by.name] !== undefined);
  const name = labels?.[by.name];
  return name === undefined ? undefined : { name, namespace: labels?.[by.namespace] ?? namespace };
}

/** Whether the pod belongs to a gateway or a waypoint. Such a pod has no waypoint as a workload. */
function isGatewayPod(pod: PodFacts): boolean {
  return pod.labels[istioLabels.gatewayManaged] !== undefined || pod.labels[istioLabels.gatewayName] !== undefined;
}
