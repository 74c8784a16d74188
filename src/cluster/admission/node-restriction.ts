import { isMirrorPod, mirrorAnnotation, type UntypedObject } from "../../api/index.ts";
import { jsonEqual } from "../../base/index.ts";
import { foreignLeaseFault, nodeNameOf } from "../auth/index.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { forbidden, nameOf, type AdmissionRequest } from "./request.ts";

const reservedDomain = "node-restriction.kubernetes.io";

/** The labels in Kubernetes' domains that a kubelet may set on its Node. */
const kubeletLabels = new Set([
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "beta.kubernetes.io/os",
  "failure-domain.beta.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "kubernetes.io/arch",
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
]);
const kubeletDomains = ["kubelet.kubernetes.io", "node.kubernetes.io"] as const;
/**
 * Labels that a node may set only when it creates its Node. A lab node sets its own role. In other clusters, kubeadm
 * sets it.
 */
const registeredLabels = new Set(["node-role.kubernetes.io/control-plane"]);

type Check = (request: AdmissionRequest, node: string, store: Store) => string | undefined;

const checks: Readonly<Record<string, Check>> = {
  "/nodes": checkNode,
  "/pods": checkPod,
  "/persistentvolumes": checkVolume,
  "coordination.k8s.io/leases": checkLease,
};

/**
 * NodeRestriction: a node's identity may change only its own Node and Lease, and the pods that are bound to it. It may
 * not give its Node labels that attract pods. So the stolen identity of one node gives no access to other nodes.
 */
export function nodeRestriction(store: Store): AdmissionPlugin {
  return {
    name: "NodeRestriction",
    validate(request) {
      const node = nodeNameOf(request.user);
      if (node === undefined) return;
      const fault = checks[request.type.storageKey]?.(request, node, store);
      if (fault !== undefined) throw forbidden(request, fault);
    },
  };
}

function checkNode(request: AdmissionRequest, node: string): string | undefined {
  const { operation, object, oldObject } = request;
  const name = nameOf(request);
  if (name !== node) return `node "${node}" is not allowed to modify node "${name}"`;
  if (object === undefined) return undefined;
  const isNew = operation === "CREATE";
  if (!isNew && !jsonEqual(taintsOf(object), taintsOf(oldObject)))
    return `node "${node}" is not allowed to modify taints`;
  if (!isNew && !jsonEqual(object.metadata.ownerReferences, oldObject?.metadata.ownerReferences))
    return `node "${node}" is not allowed to modify ownerReferences`;
  const forbidden = changedLabels(object, oldObject).filter(
    (label) => !isKubeletLabel(label) && !(isNew && registeredLabels.has(label)),
  );
  return forbidden.length === 0
    ? undefined
    : `is not allowed to ${isNew ? "set" : "modify"} the following labels: ${forbidden.join(", ")}`;
}

function taintsOf(object: UntypedObject | undefined): unknown {
  return (object?.["spec"] as { taints?: unknown } | undefined)?.taints ?? [];
}

function changedLabels(object: UntypedObject, before: UntypedObject | undefined): readonly string[] {
  const [now, then] = [object.metadata.labels ?? {}, before?.metadata.labels ?? {}];
  return [...new Set([...Object.keys(now), ...Object.keys(then)])].filter((key) => now[key] !== then[key]).toSorted();
}

/** Whether a kubelet may set the label. Labels outside of Kubernetes' domains are allowed. */
function isKubeletLabel(label: string): boolean {
  const domain = label.includes("/") ? (label.split("/")[0] ?? "") : "";
  const isBelow = (parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`);
  if (isBelow(reservedDomain)) return false;
  if (!isBelow("kubernetes.io") && !isBelow("k8s.io")) return true;
  return kubeletLabels.has(label) || kubeletDomains.some(isBelow);
}

function checkPod(request: AdmissionRequest, node: string, store: Store): string | undefined {
  const { operation, subresource, object, oldObject } = request;
  if (operation === "CONNECT") return undefined;
  if (subresource === "" && operation === "CREATE" && object !== undefined) return mirrorFault(object, node);
  const isStatus = subresource === "status" && operation === "UPDATE";
  const isEnd =
    (subresource === "" && operation === "DELETE") || (subresource === "eviction" && operation === "CREATE");
  if (!isStatus && !isEnd)
    return subresource === ""
      ? `node "${node}" can not ${operation.toLowerCase()} pods, only their status`
      : `unexpected pod subresource "${subresource}"`;
  const bound = oldObject ?? store.latest("/pods", request.namespace, request.name)?.object;
  if (bound !== undefined && nodeOf(bound) !== node)
    return isStatus
      ? `node "${node}" can only update pod status for pods with spec.nodeName set to itself`
      : `node "${node}" can only delete pods with spec.nodeName set to itself`;
  if (isStatus && object !== undefined && changedLabels(object, oldObject).length > 0)
    return `node "${node}" can not update labels through pod status`;
  return undefined;
}

/**
 * Why a node may not create this pod, or undefined if it may. A node may create only mirror pods. A mirror pod only
 * shows what already runs on its node, so it may not refer to objects that a pod could read.
 */
function mirrorFault(object: UntypedObject, node: string): string | undefined {
  const spec = (object["spec"] ?? {}) as { nodeName?: string; serviceAccountName?: string };
  if (!isMirrorPod(object))
    return `pod does not have "${mirrorAnnotation}" annotation, node "${node}" can only create mirror pods`;
  if (spec.nodeName !== node) return `node "${node}" can only create pods with spec.nodeName set to itself`;
  if ((spec.serviceAccountName ?? "") !== "")
    return `node "${node}" can not create pods that reference a service account`;
  const referred =
    /"(?:secret|secretRef|secretKeyRef|configMap|configMapRef|configMapKeyRef|persistentVolumeClaim|serviceAccountToken)":/.exec(
      JSON.stringify(spec),
    );
  return referred === null ? undefined : `node "${node}" can not create pods that reference other objects`;
}

function nodeOf(pod: UntypedObject): string {
  return (pod["spec"] as { nodeName?: string } | undefined)?.nodeName ?? "";
}

/**
 * Why a node may not write this PersistentVolume. Nodes of the lab provision and delete only volumes in their own
 * directories.
 */
function checkVolume(request: AdmissionRequest, node: string, store: Store): string | undefined {
  const volume = request.oldObject ?? store.latest("/persistentvolumes", "", request.name)?.object;
  const { nodeAffinity } = (volume?.["spec"] ?? {}) as {
    nodeAffinity?: {
      required?: { nodeSelectorTerms?: { matchExpressions?: { key: string; values?: string[] }[] }[] };
    };
  };
  const terms = nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const isOwn = terms.some(({ matchExpressions = [] }) =>
    matchExpressions.some(({ key, values }) => key === "kubernetes.io/hostname" && values?.includes(node)),
  );
  return isOwn ? undefined : `node "${node}" can only change volumes of its own`;
}

function checkLease(request: AdmissionRequest, node: string): string | undefined {
  return foreignLeaseFault(node, { namespace: request.namespace, name: nameOf(request) });
}
