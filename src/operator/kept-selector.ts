import { jsonEqual, treeAt } from "../base/index.ts";
import { matchesLabelSelector, type LabelSelector, type UntypedObject } from "../api/index.ts";
import { installedKindOf } from "../install/index.ts";
import type { KubeClient } from "../kube/index.ts";

const selectingKinds = new Set(["Deployment", "DaemonSet"]);

/**
 * Returns the object with the selector of the existing workload, if that selector also matches the object's pods. The
 * API server would refuse another selector. For example, the Deployment of upstream istiod selects the same pods by one
 * label fewer.
 */
export async function keptSelector(client: KubeClient, object: UntypedObject): Promise<UntypedObject> {
  if (!selectingKinds.has(object.kind ?? "")) return object;
  const found = await client.get(installedKindOf(object), object.metadata.name ?? "", object.metadata.namespace);
  const selector = otherSelector(object, found);
  if (selector === undefined || !selectsOwnPods(selector, object)) return object;
  return { ...object, spec: { ...treeAt(object, "spec"), selector } };
}

/** Returns the selector of the existing workload if it does not match the object's pods. */
export function lostSelector(object: UntypedObject, found: UntypedObject | undefined): LabelSelector | undefined {
  const selector = selectingKinds.has(object.kind ?? "") ? otherSelector(object, found) : undefined;
  return selector === undefined || selectsOwnPods(selector, object) ? undefined : selector;
}

function otherSelector(object: UntypedObject, found: UntypedObject | undefined): LabelSelector | undefined {
  const selector = treeAt(found, "spec", "selector");
  return selector === undefined || jsonEqual(selector, treeAt(object, "spec", "selector")) ? undefined : selector;
}

function selectsOwnPods(selector: LabelSelector, object: UntypedObject): boolean {
  const labels = treeAt(object, "spec", "template", "metadata", "labels") as Record<string, string> | undefined;
  return matchesLabelSelector(selector, labels);
}
