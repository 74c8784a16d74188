import { matchesLabels, type KubernetesObject } from "../api/index.ts";
import { istioAnnotations, istioLabels } from "../api/istio/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  isFinishedPod,
  namespaceKind,
  podKind,
  replicaSetKind,
  statefulSetKind,
  type PodSpec,
  type PodTemplate,
} from "../api/kubernetes/index.ts";
import type { Inventory } from "./inventory.ts";
import type { Resource } from "./resource.ts";

/** A pod, or in files also a template for pods. */
export interface Workload {
  readonly resource: Resource;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
  readonly isPod: boolean;
}

const noSpec: PodSpec = { containers: [] };
const workloadsOf = new WeakMap<Inventory, readonly Workload[]>();

/** The pods that have not ended. In files, also the templates of Deployments and other kinds. */
export function workloads(inventory: Inventory): readonly Workload[] {
  const known = workloadsOf.get(inventory);
  if (known !== undefined) return known;
  const found = pods(inventory);
  // The pods of templates in a cluster are listed themselves. Templates in files have no pods yet.
  for (const kind of [deploymentKind, statefulSetKind, daemonSetKind, replicaSetKind]) {
    for (const { resource, object } of inventory.of<KubernetesObject>(kind)) {
      const { replicas, template } = (object as { spec?: { replicas?: number; template?: PodTemplate } }).spec ?? {};
      if (inventory.options.scope === "cluster" && resource.source === undefined) continue;
      if (replicas !== 0) found.push(templateWorkload(resource, template));
    }
  }
  workloadsOf.set(inventory, found);
  return found;
}

export function pods(inventory: Inventory): Workload[] {
  return inventory.of(podKind).flatMap(({ resource, object: { metadata, spec = noSpec, status } }) => {
    if (isFinishedPod({ status })) return [];
    return [
      {
        resource,
        name: metadata.name ?? "",
        namespace: metadata.namespace ?? "",
        labels: metadata.labels ?? {},
        annotations: metadata.annotations ?? {},
        spec,
        isPod: true,
      },
    ];
  });
}

export function templateWorkload(resource: Resource, template: PodTemplate | undefined): Workload {
  const { name = "", namespace = "" } = resource.object.metadata;
  return {
    resource,
    name,
    namespace,
    labels: template?.metadata?.labels ?? {},
    annotations: template?.metadata?.annotations ?? {},
    spec: template?.spec ?? noSpec,
    isPod: false,
  };
}

export function knowsAllWorkloads(inventory: Inventory): boolean {
  return inventory.options.scope === "cluster" ? inventory.knowsAll(podKind) : workloads(inventory).length > 0;
}

export function selected(
  found: readonly Workload[],
  wanted: Readonly<Record<string, string>>,
  namespace?: string,
): readonly Workload[] {
  const isEmpty = Object.keys(wanted).length === 0;
  return found.filter(
    (workload) =>
      (namespace === undefined || workload.namespace === namespace) &&
      (isEmpty || matchesLabels(wanted, workload.labels)),
  );
}

export function namespaceLabels(inventory: Inventory, namespace: string): Readonly<Record<string, string>> {
  return inventory.find(namespaceKind, "", namespace)?.object.metadata.labels ?? {};
}

export function hasSidecar({ spec }: Workload): boolean {
  return [...spec.containers, ...(spec.initContainers ?? [])].some(({ name }) => name === "istio-proxy");
}

/**
 * Whether a ztunnel captures the pod's traffic. For a template, whether one will, according to the namespace's label.
 */
export function isAmbient({ annotations, labels, isPod, namespace }: Workload, inventory: Inventory): boolean {
  if (annotations[istioAnnotations.ambientRedirection] === "enabled") return true;
  return (
    !isPod && labels[istioLabels.dataplaneMode] !== "none" && isAmbientNamespace(namespaceLabels(inventory, namespace))
  );
}

export function isAmbientNamespace(labels: Readonly<Record<string, string>>): boolean {
  if (labels[istioLabels.injection] === "enabled" || (labels[istioLabels.revision] ?? "") !== "") return false;
  return labels[istioLabels.dataplaneMode] === "ambient";
}

/** Whether the workload has a sidecar, or will get one. */
export function isInjected(workload: Workload, inventory: Inventory): boolean {
  if (hasSidecar(workload)) return true;
  const injectValue = workload.labels[istioLabels.inject] ?? workload.annotations[istioLabels.inject];
  if (injectValue !== undefined) return injectValue === "true";
  const labels = namespaceLabels(inventory, workload.namespace);
  return (
    labels[istioLabels.injection] === "enabled" ||
    (labels[istioLabels.injection] === undefined && (labels[istioLabels.revision] ?? "") !== "")
  );
}

export function isInMesh(workload: Workload, inventory: Inventory): boolean {
  return isInjected(workload, inventory) || isAmbient(workload, inventory);
}

export function isControlPlane({ object: { metadata } }: Resource): boolean {
  return metadata.labels?.["istio"] !== undefined || metadata.labels?.["release"] === "istio";
}
