import { keyOf, matchesLabels, type KubernetesObject, serviceNameLabel } from "../../api/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import {
  workloadOfJob,
  workloadOfPod,
  type EndpointSlice,
  type Namespace,
  type Pod,
  type PodTemplate,
  type Service,
} from "../../api/kubernetes/index.ts";
import { ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import type { GraphNode } from "../../api/dashboard/index.ts";
import { timeMs, type MeshObjects } from "./mesh-objects.ts";
import { soundCanary, soundFreeze, soundJournal, soundUpgrade } from "./sound-rollouts.ts";

export type WorkloadRole = "workload" | "gateway" | "waypoint" | "ztunnel" | "control plane" | "cni";

/** A workload with its pods. It has the name under which proxies' metrics list it. */
export interface Workload {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly kind: string;
  readonly role: WorkloadRole;
  /** The labels of its pod template, or if that is unknown of one of its pods. */
  readonly labels: Readonly<Record<string, string>>;
  readonly pods: readonly Pod[];
  readonly app: string;
  readonly version: string;
  readonly revision: string;
  readonly dataPlane: GraphNode["dataPlane"];
  readonly wantedPods: number;
  readonly readyPods: number;
  readonly restarts: number;
  readonly createdAtMs: number | undefined;
}

export interface ServiceRecord {
  readonly key: string;
  readonly service: Service;
  readonly slices: readonly EndpointSlice[];
  readonly workloads: readonly Workload[];
  readonly endpointsReady: number;
  readonly endpoints: number;
  readonly waypoint: string;
}

/** All objects, related to each other. Computed once after a change, for all views. */
export interface Inventory {
  readonly objects: MeshObjects;
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly services: ReadonlyMap<string, ServiceRecord>;
  /** For each workload, the keys of the services that select it. */
  readonly servicesOf: ReadonlyMap<string, readonly string[]>;
  /** By the pod's `namespace/name`. */
  readonly workloadOfPod: ReadonlyMap<string, Workload>;
}

const workloadKinds = ["Deployment", "StatefulSet", "DaemonSet", "Job"] as const;

export function makeInventory(given: MeshObjects): Inventory {
  const objects = {
    ...given,
    canaries: given.canaries.map(soundCanary),
    upgrades: given.upgrades.map(soundUpgrade),
    freezes: given.freezes.map(soundFreeze),
    journals: given.journals.map(soundJournal),
  };
  const namespaces = new Map(objects.namespaces.map((namespace) => [namespace.metadata.name ?? "", namespace]));
  const podsOf = Map.groupBy(
    objects.pods.filter(({ status }) => status?.phase !== "Succeeded" && status?.phase !== "Failed"),
    podWorkload,
  );
  const owners = ownersOf(objects);
  const workloads = new Map<string, Workload>();
  for (const key of new Set([...owners.keys(), ...podsOf.keys()]))
    workloads.set(key, makeWorkload(key, owners.get(key), podsOf.get(key) ?? []));
  const services = servicesIn(objects, workloads, namespaces);
  const servicesOf = new Map<string, string[]>();
  for (const { key, workloads: selected } of services.values()) {
    for (const workload of selected) {
      const known = servicesOf.get(workload.key);
      if (known === undefined) servicesOf.set(workload.key, [key]);
      else known.push(key);
    }
  }
  const workloadOfPod = new Map<string, Workload>();
  for (const workload of workloads.values()) for (const pod of workload.pods) workloadOfPod.set(keyOf(pod), workload);
  return { objects, namespaces, workloads, services, servicesOf, workloadOfPod };
}

interface Owner {
  readonly kind: string;
  /** The kinds of all objects of this name. `wantedPods` counts the pods of all of them. */
  readonly kinds: ReadonlySet<string>;
  readonly object: KubernetesObject;
  readonly template: PodTemplate | undefined;
  readonly wantedPods: number;
}

function ownersOf({ deployments, statefulSets, daemonSets, jobs }: MeshObjects): Map<string, Owner> {
  const owners = new Map<string, Owner>();
  const [deployment, statefulSet, daemonSet, job] = workloadKinds;
  // In metrics, objects of different kinds may have the same name, and all Jobs of a CronJob have the CronJob's name.
  const add = (
    { kind, name }: { readonly kind: string; readonly name: string },
    object: KubernetesObject & { readonly spec?: { readonly template?: PodTemplate } },
    wantedPods: number,
  ): void => {
    const key = `${object.metadata.namespace ?? ""}/${name}`;
    const known = owners.get(key);
    const isOther = known !== undefined && known.kind !== kind;
    owners.set(key, {
      ...(isOther ? known : { kind, object, template: object.spec?.template }),
      kinds: known === undefined ? new Set([kind]) : known.kinds.union(new Set([kind])),
      wantedPods: wantedPods + (known?.wantedPods ?? 0),
    });
  };
  const named = (kind: string, { metadata: { name = "" } }: KubernetesObject) => ({ kind, name });
  for (const object of deployments) add(named(deployment, object), object, object.spec?.replicas ?? 1);
  for (const object of statefulSets) add(named(statefulSet, object), object, object.spec?.replicas ?? 1);
  for (const object of daemonSets) add(named(daemonSet, object), object, object.status?.desiredNumberScheduled ?? 0);
  for (const object of jobs) {
    const active = object.status?.active ?? 0;
    // A Job that has ended is no workload.
    if (active > 0) add(workloadOfJob({ apiVersion: "batch/v1", ...named(job, object) }), object, active);
  }
  return owners;
}

function makeWorkload(key: string, owner: Owner | undefined, pods: readonly Pod[]): Workload {
  const [namespace = "", name = ""] = key.split("/");
  // The newest pod has the labels of the present template.
  const pod = pods.findLast(({ metadata }) => metadata.deletionTimestamp === undefined) ?? pods.at(-1);
  const labels = owner?.template?.metadata?.labels ?? pod?.metadata.labels ?? {};
  const role = roleOf(labels, pod);
  return {
    key,
    namespace,
    name,
    kind: owner?.kind ?? (pod === undefined ? "Pod" : workloadOfPod(pod).kind),
    role,
    labels,
    pods,
    app: labels[istioLabels.canonicalName] ?? labels["app.kubernetes.io/name"] ?? labels["app"] ?? name,
    version: labels[istioLabels.canonicalRevision] ?? labels["app.kubernetes.io/version"] ?? labels["version"] ?? "",
    revision: pod === undefined ? (labels[istioLabels.revision] ?? "") : revisionOfPod(pod),
    dataPlane:
      role === "workload"
        ? pod === undefined
          ? "none"
          : dataPlaneOf(pod)
        : role === "control plane" || role === "cni"
          ? "none"
          : "proxy",
    wantedPods: wantedOf(owner, pods),
    readyPods: pods.filter(isReadyPod).length,
    restarts: pods.reduce((sum, counted) => sum + restartsOf(counted), 0),
    createdAtMs: timeMs(owner?.object.metadata.creationTimestamp ?? pod?.metadata.creationTimestamp),
  };
}

/**
 * The number of pods that should exist. Kinds that the dashboard does not read, such as an Argo Rollout, do not say it,
 * so all their pods count.
 */
function wantedOf(owner: Owner | undefined, pods: readonly Pod[]): number {
  if (owner === undefined) return pods.length;
  return owner.wantedPods + pods.filter((pod) => !owner.kinds.has(workloadOfPod(pod).kind)).length;
}

/** `namespace/name` of a pod's workload, as in proxies' metrics. */
export function podWorkload(pod: Pod): string {
  return `${pod.metadata.namespace ?? ""}/${workloadOfPod(pod).name}`;
}

function roleOf(labels: Readonly<Record<string, string>>, pod: Pod | undefined): WorkloadRole {
  if (labels["app"] === "ztunnel") return "ztunnel";
  if (labels["app"] === "istiod") return "control plane";
  if (labels["k8s-app"] === "istio-cni-node") return "cni";
  if (
    labels[istioLabels.gatewayManaged] === "istio.io-mesh-controller" ||
    (labels[istioLabels.gatewayClassName] ?? "").includes("waypoint")
  )
    return "waypoint";
  return labels[istioLabels.gatewayName] !== undefined || (pod !== undefined && isProxyAlone(pod))
    ? "gateway"
    : "workload";
}

/** Whether the pod runs nothing but a proxy, as that of a gateway does. */
export function isProxyAlone({ spec }: Pod): boolean {
  return (
    spec?.containers.length === 1 &&
    spec.containers[0]?.name === "istio-proxy" &&
    spec.initContainers?.some(({ name }) => name === "istio-init") !== true
  );
}

function dataPlaneOf(pod: Pod): GraphNode["dataPlane"] {
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  if (containers.some(({ name }) => name === "istio-proxy")) return "sidecar";
  return pod.metadata.annotations?.[istioAnnotations.ambientRedirection] === "enabled" ? "ambient" : "none";
}

/** The revision that serves a pod. Empty if none does. */
export function revisionOfPod(pod: Pod): string {
  const { labels = {}, annotations = {} } = pod.metadata;
  if (annotations[istioAnnotations.ambientRedirection] === "enabled")
    return annotations[ztunnelOwnerAnnotation] ?? "default";
  const role = roleOf(labels, pod);
  if (role === "workload" && dataPlaneOf(pod) === "none") return "";
  // Injection writes the revision into an annotation. Gateways have it as a label.
  return annotations[istioLabels.revision] ?? labels[istioLabels.revision] ?? "default";
}

export function isReadyPod({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true
  );
}

/** The names of the init containers that run as long as the pod. */
export function sidecarNames({ spec }: Pod): ReadonlySet<string> {
  return new Set(
    spec?.initContainers?.filter(({ restartPolicy }) => restartPolicy === "Always").map(({ name }) => name),
  );
}

/**
 * How often a pod's containers have restarted. Leaves out init containers that have done their work, as kubectl's
 * column RESTARTS does, because their restarts say nothing about the pod's present state.
 */
export function restartsOf(pod: Pod): number {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  const sidecars = sidecarNames(pod);
  const initial = initContainerStatuses.filter(
    ({ name, state }) => sidecars.has(name) || state?.terminated?.exitCode !== 0,
  );
  return [...containerStatuses, ...initial].reduce((sum, { restartCount }) => sum + restartCount, 0);
}

function servicesIn(
  objects: MeshObjects,
  workloads: ReadonlyMap<string, Workload>,
  namespaces: ReadonlyMap<string, Namespace>,
): Map<string, ServiceRecord> {
  const slicesOf = Map.groupBy(
    objects.endpointSlices,
    ({ metadata }) => `${metadata.namespace ?? ""}/${metadata.labels?.[serviceNameLabel] ?? ""}`,
  );
  const workloadsIn = Map.groupBy(workloads.values(), ({ namespace }) => namespace);
  return new Map(
    objects.services.map((service) => {
      const key = keyOf(service);
      const { namespace = "" } = service.metadata;
      const selector = service.spec?.selector ?? {};
      const slices = slicesOf.get(key) ?? [];
      let [endpoints, endpointsReady] = [0, 0];
      for (const { endpoints: listed = [] } of slices) {
        endpoints += listed.length;
        endpointsReady += listed.filter(({ conditions }) => conditions?.ready !== false).length;
      }
      const selected =
        Object.keys(selector).length === 0
          ? []
          : (workloadsIn.get(namespace) ?? []).filter(({ labels }) => matchesLabels(selector, labels));
      return [
        key,
        {
          key,
          service,
          slices,
          workloads: selected,
          endpoints,
          endpointsReady,
          waypoint: waypointOf(service, namespaces.get(namespace)),
        },
      ] as const;
    }),
  );
}

function waypointOf({ metadata }: Service, namespace: Namespace | undefined): string {
  const own = metadata.labels?.[istioLabels.useWaypoint] === undefined ? namespace?.metadata : metadata;
  const name = own?.labels?.[istioLabels.useWaypoint] ?? "";
  if (name === "" || name === "none") return "";
  return `${own?.labels?.[istioLabels.useWaypointNamespace] ?? metadata.namespace ?? ""}/${name}`;
}
