import type { KubernetesObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { minorOf, revisionLabelOf, type BanzaiIstio } from "../../api/banzai/index.ts";

const managedLabel = "istio-operator-managed-injection";

/** The part of an Istio object that decides about namespace labels. */
export interface InjectingIstio extends Pick<BanzaiIstio, "metadata"> {
  readonly spec: Pick<BanzaiIstio["spec"], "global" | "autoInjectionNamespaces" | "version">;
}

export interface NamespaceChange {
  readonly name: string;
  /** Values of labels. Null removes a label. */
  readonly labels: Readonly<Record<string, string | null>>;
}

/**
 * The changes of namespace labels. A control plane without a revision labels the namespaces that it lists and removes
 * the label from those that it no longer lists. It does not change a namespace that names a revision, because somebody
 * has moved that namespace.
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
