import type { KubernetesObject } from "../../api/index.ts";
import { minorOf, revisionLabelOf, type BanzaiIstio } from "../../api/banzai/index.ts";

const injectionLabel = "istio-injection";
const managedLabel = "istio-operator-managed-injection";
const revisionLabel = "istio.io/rev";

export interface NamespaceChange {
  readonly name: string;
  /** Values of labels. Null removes a label. */
  readonly labels: Readonly<Record<string, string | null>>;
}

/**
 * The changes of namespace labels. A control plane without a revision labels the namespaces that it lists and unlabels
 * those that it no longer lists. It leaves a namespace that names a revision, because that one has been moved.
 */
export function injectionLabelChanges(
  istio: BanzaiIstio,
  namespaces: readonly KubernetesObject[],
  isGoing = false,
): NamespaceChange[] {
  const wanted = new Set(istio.spec.global && !isGoing ? istio.spec.autoInjectionNamespaces : []);
  const own = revisionLabelOf({ name: istio.metadata.name ?? "", namespace: istio.metadata.namespace ?? "" });
  const changes: NamespaceChange[] = [];
  for (const { metadata } of namespaces) {
    const { name = "", labels = {}, deletionTimestamp } = metadata;
    if (deletionTimestamp !== undefined) continue;
    const revision = labels[revisionLabel];
    if (revision === undefined && istio.spec.global) changes.push(...labelled(name, labels, wanted.has(name)));
    // The label would override the revision that the namespace names.
    else if (revision === own && labels[injectionLabel] !== undefined && minorOf(istio.spec.version) !== "1.6")
      changes.push({ name, labels: { [injectionLabel]: null } });
  }
  return changes;
}

function labelled(name: string, labels: Readonly<Record<string, string>>, isWanted: boolean): NamespaceChange[] {
  const isManaged = labels[managedLabel] === "enabled";
  if (isWanted && !(isManaged && labels[injectionLabel] === "enabled"))
    return [{ name, labels: { [injectionLabel]: "enabled", [managedLabel]: "enabled" } }];
  if (!isWanted && isManaged) return [{ name, labels: { [injectionLabel]: null, [managedLabel]: null } }];
  return [];
}
