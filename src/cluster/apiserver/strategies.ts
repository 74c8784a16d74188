// Prepares objects of certain kinds before they are stored. This is what Kubernetes calls a kind's "strategy".
import { jsonEqual } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { ResourceType } from "../schema/contract.ts";
import { templateGeneration } from "../schema/defaults/workloads.ts";
import { cloneJson } from "../schema/json.ts";
import { qosClassOf } from "../schema/qos-class.ts";
import { hasNodePorts } from "./service-allocator.ts";

type Fields = Record<string, unknown>;

interface Strategy {
  prepareCreate?(object: UntypedObject): void;
  prepareUpdate?(object: UntypedObject, old: UntypedObject): void;
}

/** Built-in kinds for which `metadata.generation` counts the changes of the spec, as in kube-apiserver. */
const counted = new Set([
  "/pods",
  "/podtemplates",
  "/replicationcontrollers",
  "apps/daemonsets",
  "apps/deployments",
  "apps/replicasets",
  "apps/statefulsets",
  "batch/jobs",
  "batch/cronjobs",
  "discovery.k8s.io/endpointslices",
  "networking.k8s.io/ingresses",
  "networking.k8s.io/ingressclasses",
  "networking.k8s.io/networkpolicies",
  "policy/poddisruptionbudgets",
  "admissionregistration.k8s.io/mutatingwebhookconfigurations",
  "admissionregistration.k8s.io/validatingwebhookconfigurations",
  "admissionregistration.k8s.io/validatingadmissionpolicies",
  "admissionregistration.k8s.io/validatingadmissionpolicybindings",
  "admissionregistration.k8s.io/mutatingadmissionpolicies",
  "admissionregistration.k8s.io/mutatingadmissionpolicybindings",
  "apiextensions.k8s.io/customresourcedefinitions",
  "flowcontrol.apiserver.k8s.io/flowschemas",
  "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
  "scheduling.k8s.io/priorityclasses",
]);

function countsGenerations(type: ResourceType): boolean {
  return !type.builtIn || counted.has(type.storageKey);
}

export function hasStatus(type: ResourceType): boolean {
  return type.subresources.some((subresource) => subresource.name === "status");
}

/** Kinds for which an update of a missing object creates it. */
const createdByUpdate = new Set([
  "/endpoints",
  "/events",
  "/limitranges",
  "/podtemplates",
  "/services",
  "coordination.k8s.io/leases",
  "rbac.authorization.k8s.io/clusterrolebindings",
  "rbac.authorization.k8s.io/clusterroles",
  "rbac.authorization.k8s.io/rolebindings",
  "rbac.authorization.k8s.io/roles",
]);

export function isCreatedByUpdate(type: ResourceType): boolean {
  return createdByUpdate.has(type.storageKey);
}

/** Built-in kinds whose updates must name the resourceVersion that they replace. */
const replacedByVersion = new Set([
  "admissionregistration.k8s.io/mutatingwebhookconfigurations",
  "admissionregistration.k8s.io/validatingadmissionpolicies",
  "admissionregistration.k8s.io/validatingadmissionpolicybindings",
  "admissionregistration.k8s.io/validatingwebhookconfigurations",
  "apiextensions.k8s.io/customresourcedefinitions",
  "coordination.k8s.io/leases",
]);

export function isReplacedByVersion(type: ResourceType): boolean {
  return !type.builtIn || replacedByVersion.has(type.storageKey);
}

/** Kinds whose objects may be created with a status. */
const statusAtCreation = new Set(["/nodes"]);

export function prepareCreate(type: ResourceType, object: UntypedObject): void {
  if (hasStatus(type) && !statusAtCreation.has(type.storageKey)) delete object["status"];
  if (countsGenerations(type)) object.metadata.generation = 1;
  strategies[type.storageKey]?.prepareCreate?.(object);
}

export function prepareUpdate(type: ResourceType, object: UntypedObject, old: UntypedObject): void {
  if (hasStatus(type)) {
    if (old["status"] === undefined) delete object["status"];
    else object["status"] = cloneJson(old["status"]);
  }
  strategies[type.storageKey]?.prepareUpdate?.(object, old);
  countGeneration(type, object, old);
}

function countGeneration(type: ResourceType, object: UntypedObject, old: UntypedObject): void {
  const before = old.metadata.generation;
  if (before === undefined) delete object.metadata.generation;
  else object.metadata.generation = before;
  if (!countsGenerations(type)) return;
  const changed = !jsonEqual(wanted(type, object), wanted(type, old));
  const deleted = object.metadata.deletionTimestamp !== undefined && old.metadata.deletionTimestamp === undefined;
  if (changed || deleted) object.metadata.generation = (before ?? 0) + 1;
}

function wanted(type: ResourceType, object: UntypedObject): Fields {
  const { apiVersion: _version, kind: _kind, metadata: _metadata, status, ...rest } = object;
  return hasStatus(type) ? rest : { ...rest, status };
}

/** The object after an update through a subresource. Copies only the subresource's part of `next` to the old object. */
export function mergeSubresource(
  type: ResourceType,
  subresource: string,
  next: UntypedObject,
  old: UntypedObject,
): UntypedObject {
  const base = cloneJson(old);
  const nextSpec = (next["spec"] ?? {}) as Fields;
  switch (subresource) {
    case "status":
      if (type.builtIn) base.metadata = withStatusMetadata(type, next.metadata, old.metadata);
      else if (next.metadata.managedFields !== undefined) base.metadata.managedFields = next.metadata.managedFields;
      if (next["status"] === undefined) delete base["status"];
      else base["status"] = type.storageKey === "/pods" ? withQosClass(next["status"], old["status"]) : next["status"];
      return base;
    case "finalize":
      base["spec"] = { ...(base["spec"] as Fields | undefined), finalizers: nextSpec["finalizers"] };
      if (nextSpec["finalizers"] === undefined) delete (base["spec"] as Fields)["finalizers"];
      return base;
    case "ephemeralcontainers":
      base["spec"] = { ...(base["spec"] as Fields), ephemeralContainers: nextSpec["ephemeralContainers"] };
      return base;
    case "resize":
      base["spec"] = withResources(base["spec"] as Fields, nextSpec);
      return base;
    case "approval":
      base["status"] = {
        ...(base["status"] as Fields | undefined),
        conditions: (next["status"] as Fields | undefined)?.["conditions"],
      };
      return base;
    default:
      return next;
  }
}

/**
 * The metadata after a write to the status of a built-in kind. As in kube-apiserver, such a write cannot give a pod
 * another owner, because an owner could adopt or delete the pod.
 */
function withStatusMetadata(
  type: ResourceType,
  { ownerReferences: _next, ...next }: UntypedObject["metadata"],
  old: UntypedObject["metadata"],
): UntypedObject["metadata"] {
  if (type.storageKey !== "/pods") return _next === undefined ? next : { ...next, ownerReferences: _next };
  const { ownerReferences } = old;
  return ownerReferences === undefined ? next : { ...next, ownerReferences };
}

/** The pod's spec after a resize. A resize changes only the resources of containers. */
function withResources(spec: Fields, next: Fields): Fields {
  const resized = { ...spec };
  for (const field of ["containers", "initContainers"]) {
    const wanted = new Map(
      ((next[field] ?? []) as readonly Fields[]).map((container) => [container["name"], container]),
    );
    resized[field] = (spec[field] as readonly Fields[] | undefined)?.map((container) => {
      const found = wanted.get(container["name"]);
      return found === undefined ? container : withResourcesOf(container, found);
    });
    if (resized[field] === undefined) delete resized[field];
  }
  return resized;
}

function withResourcesOf(container: Fields, wanted: Fields): Fields {
  const resized = { ...container };
  for (const field of ["resources", "resizePolicy"]) {
    if (wanted[field] === undefined) delete resized[field];
    else resized[field] = wanted[field];
  }
  return resized;
}

/** The status with the old QoS class, because only the server writes that class. */
function withQosClass(status: unknown, old: unknown): Fields {
  const { qosClass } = (old ?? {}) as Fields;
  return { ...(status as Fields), ...(qosClass === undefined ? {} : { qosClass }) };
}

const strategies: Readonly<Record<string, Strategy>> = {
  "/namespaces": {
    prepareCreate(object) {
      object["spec"] = { ...(object["spec"] as Fields | undefined), finalizers: ["kubernetes"] };
      object["status"] = { phase: "Active" };
      nameLabel(object);
    },
    prepareUpdate(object, old) {
      object["spec"] = cloneJson(old["spec"]);
      nameLabel(object);
    },
  },
  "/pods": {
    prepareCreate(object) {
      const spec = (object["spec"] ?? {}) as { terminationGracePeriodSeconds?: number };
      // Kubernetes now treats a negative grace period as one second. Earlier releases stored negative ones.
      if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1;
      object["status"] = { phase: "Pending", qosClass: qosClassOf(object["spec"] ?? {}) };
    },
  },
  "/services": {
    prepareCreate(object) {
      object["status"] = { loadBalancer: {} };
    },
    prepareUpdate(object, old) {
      const spec = (object["spec"] ?? {}) as ServiceFields;
      dropFieldsOfType(spec, (old["spec"] ?? {}) as ServiceFields);
      if (spec.type !== "LoadBalancer")
        object["status"] = { ...(object["status"] as Fields | undefined), loadBalancer: {} };
    },
  },
  "/persistentvolumes": { prepareCreate: (object) => void (object["status"] = { phase: "Pending" }) },
  "/persistentvolumeclaims": { prepareCreate: (object) => void (object["status"] = { phase: "Pending" }) },
  "apps/deployments": statusOf({}),
  "apps/daemonsets": {
    prepareUpdate: countTemplates,
    ...statusOf({ currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 }),
  },
  "apps/replicasets": statusOf({ replicas: 0 }),
  "apps/statefulsets": statusOf({ replicas: 0, availableReplicas: 0 }),
  "/replicationcontrollers": statusOf({ replicas: 0 }),
  "certificates.k8s.io/certificatesigningrequests": {
    ...statusOf({}),
    prepareUpdate: (object, old) => void (object["spec"] = cloneJson(old["spec"])),
  },
  "networking.k8s.io/ingresses": statusOf({ loadBalancer: {} }),
  "autoscaling/horizontalpodautoscalers": statusOf({ desiredReplicas: 0, currentMetrics: null }),
  "policy/poddisruptionbudgets": statusOf({
    disruptionsAllowed: 0,
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
  }),
  "/resourcequotas": statusOf({}),
  "batch/cronjobs": statusOf({}),
  "batch/jobs": { prepareCreate: prepareJob },
};

interface ServiceFields extends Fields {
  readonly type?: string;
  readonly externalIPs?: readonly string[];
  readonly allocateLoadBalancerNodePorts?: boolean;
  ports?: { nodePort?: number }[];
}

const fieldsOfType: Readonly<Record<string, (spec: ServiceFields) => boolean>> = {
  clusterIP: hasClusterIp,
  clusterIPs: hasClusterIp,
  ipFamilies: hasClusterIp,
  ipFamilyPolicy: hasClusterIp,
  healthCheckNodePort: ({ type, externalTrafficPolicy }) =>
    type === "LoadBalancer" && externalTrafficPolicy === "Local",
  allocateLoadBalancerNodePorts: ({ type }) => type === "LoadBalancer",
  loadBalancerClass: ({ type }) => type === "LoadBalancer",
  externalTrafficPolicy: ({ type, externalIPs = [] }) =>
    type === "NodePort" || type === "LoadBalancer" || (type === "ClusterIP" && externalIPs.length > 0),
};

function hasClusterIp({ type }: ServiceFields): boolean {
  return type !== "ExternalName";
}

/**
 * Removes fields that a Service's new type does not have. A client that changes the type need not remove fields itself,
 * because the server filled in most of them. The function keeps fields that the client has
 * changed.
 */
function dropFieldsOfType(spec: ServiceFields, old: ServiceFields): void {
  const [had, has] = [hasNodePorts(old), hasNodePorts(spec)];
  const portsOf = ({ ports = [] }: ServiceFields): readonly unknown[] => ports.map(({ nodePort }) => nodePort);
  if (had && !has && jsonEqual(portsOf(spec), portsOf(old))) for (const port of spec.ports ?? []) delete port.nodePort;
  const gone = Object.entries(fieldsOfType).filter(
    ([field, isOfType]) => isOfType(old) && !isOfType(spec) && jsonEqual(spec[field], old[field]),
  );
  for (const [field] of gone) delete spec[field];
}

function countTemplates(object: UntypedObject, old: UntypedObject): void {
  const before = Number(old.metadata.annotations?.[templateGeneration] ?? 1);
  const template = (owner: UntypedObject): unknown => (owner["spec"] as Fields | undefined)?.["template"];
  const now = jsonEqual(template(object), template(old)) ? before : before + 1;
  object.metadata.annotations = { ...object.metadata.annotations, [templateGeneration]: String(now) };
}

function statusOf(initial: Fields): Strategy {
  return { prepareCreate: (object) => void (object["status"] = { ...initial }) };
}

function nameLabel(object: UntypedObject): void {
  if (object.metadata.name !== undefined)
    object.metadata.labels = { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name };
}

/** Lets a Job select its pods by its uid, unless `manualSelector` is set. */
function prepareJob(object: UntypedObject): void {
  object["status"] = {};
  const spec = (object["spec"] ?? {}) as {
    manualSelector?: boolean;
    selector?: unknown;
    template?: { metadata?: { labels?: Record<string, string> } };
  };
  if (spec.manualSelector === true || spec.template === undefined) return;
  const { name = "", uid = "" } = object.metadata;
  spec.template.metadata ??= {};
  spec.template.metadata.labels = {
    ...spec.template.metadata.labels,
    "controller-uid": uid,
    "job-name": name,
    "batch.kubernetes.io/controller-uid": uid,
    "batch.kubernetes.io/job-name": name,
  };
  object.metadata.labels ??= { ...spec.template.metadata.labels };
  spec.selector ??= { matchLabels: { "batch.kubernetes.io/controller-uid": uid } };
  object["spec"] = spec;
}
