import type { KubernetesObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { minorOf, revisionLabelOf, type BanzaiIstio } from "../../api/banzai/index.ts";

const managedLabel = "istio-operator-managed-injection";

/** The fields of an Istio object that decide about namespace labels. */
export interface InjectingIstio extends Pick<BanzaiIstio, "metadata"> {
  readonly spec: Pick<BanzaiIstio["spec"], "global" | "autoInjectionNamespaces" | "version">;
}

export interface NamespaceChange {
  readonly name: string;
  /** The labels to set. The value null removes a label. */
  readonly labels: Readonly<Record<string, string | null>>;
}

/**
 * The namespace labels that must change. A control plane without a revision labels the namespaces in
 * `autoInjectionNamespaces`, and removes the label from namespaces that are no longer listed. It skips a namespace with
 * a revision label, because somebody has moved that namespace to another control plane.
 */
export function injectionLabelChanges(
  istio: InjectingIstio,
  namespaces: readonly KubernetesObject[],
  isGoing = false,
): NamespaceChange[] {
  const wanted = new Set(istio.spec.global && !isGoing ? istio.spec.autoInjectionNamespaces : []);
  const own = revisionLabelOf({ name: istio.metadata.name ?? "", namespace: istio.metadata.namespace ?? "" });
  const changes: NamespaceChange[] = [];
  for (const { metadata } of namespaces) {
    const { name = "", labels = {}, deletionTimestamp } = metadata;
    if (deletionTimestamp !== undefined) continue;
    const revision = labels[istioLabels.revision];
    if (revision === undefined && istio.spec.global) changes.push(...labelled(name, labels, wanted.has(name)));
    // The label `istio-injection` would override the revision that the namespace names.
    else if (revision === own && labels[istioLabels.injection] !== undefined && minorOf(istio.spec.version) !== "1.6")
      changes.push({ name, labels: { [istioLabels.injection]: null } });
  }
  return changes;
}

function labelled(name: string, labels: Readonly<Record<string, string>>, isWanted: boolean): NamespaceChange[] {
  const isManaged = labels[managedLabel] === "enabled";
  if (isWanted && !(isManaged && labels[istioLabels.injection] === "enabled"))
    return [{ name, labels: { [istioLabels.injection]: "enabled", [managedLabel]: "enabled" } }];
  if (!isWanted && isManaged) return [{ name, labels: { [istioLabels.injection]: null, [managedLabel]: null } }];
  return [];
}
