/** metav1.ObjectMeta. Times are RFC 3339 strings. */
export interface ObjectMeta {
  name?: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  managedFields?: ManagedFieldsEntry[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
  manager?: string;
  operation?: "Apply" | "Update";
  apiVersion?: string;
  time?: string;
  fieldsType?: "FieldsV1";
  fieldsV1?: Record<string, unknown>;
  subresource?: string;
}

/** Any object of the API. Known kinds narrow this with their own `spec` and `status`. */
export interface KubernetesObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

export interface UntypedObject extends KubernetesObject {
  [field: string]: unknown;
}

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: LabelSelectorRequirement[];
}

export interface LabelSelectorRequirement {
  key: string;
  operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  values?: string[];
}

/** metav1.Condition, as the Gateway API and Serin's own kinds use it. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number;
}

/** `namespace/name`, or `name` for cluster-scoped objects. */
export function keyOf(object: KubernetesObject): string {
  const { name = "", namespace } = object.metadata;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** The label of an EndpointSlice that names its Service (KEP-752). */
export const serviceNameLabel = "kubernetes.io/service-name";

/**
 * On the API server's object of a static pod, the uid that the kubelet uses for the pod. The object itself has another
 * uid.
 */
export const mirrorAnnotation = "kubernetes.io/config.mirror";

/**
 * Whether the object represents a pod that a kubelet runs without the API server. Every node may create such objects in
 * any namespace and with any labels, so do not trust them.
 */
export function isMirrorPod({ metadata: { annotations = {} } }: KubernetesObject): boolean {
  return annotations[mirrorAnnotation] !== undefined;
}
