import type { KubernetesObject, UntypedObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { controllerOf } from "../../kube/index.ts";
import { referenceKey } from "../decide/index.ts";
import { reference } from "../plan/index.ts";

const { owningResource: ownerLabel, owningResourceNamespace: ownerNamespaceLabel } = istioLabels;

/** The IstioOperator or controller that writes this object, and would undo changes by others. */
export function operatorObjectOf({ metadata }: Pick<KubernetesObject, "metadata">): ObjectReference | undefined {
  const { labels = {}, namespace } = metadata;
  const [name, ownNamespace] = [labels[ownerLabel], labels[ownerNamespaceLabel]];
  if (name !== undefined && ownNamespace !== undefined)
    return reference("install.istio.io/v1alpha1", "IstioOperator", name, ownNamespace);
  const owner = controllerOf({ metadata });
  return owner === undefined ? undefined : reference(owner.apiVersion, owner.kind, owner.name, namespace);
}

/**
 * Whether the workload was made from this object of an operator, and not from an earlier one of its name, whose
 * workloads the garbage collector is about to delete.
 */
export function isMadeBy(
  workload: Pick<KubernetesObject, "metadata">,
  object: ObjectReference,
  operator: UntypedObject | undefined,
): boolean {
  const owner = operatorObjectOf(workload);
  if (owner === undefined || referenceKey(owner) !== referenceKey(object)) return false;
  const { uid = operator?.metadata.uid } = controllerOf(workload) ?? {};
  return uid === operator?.metadata.uid;
}
