import { istioLabels } from "../api/istio/index.ts";
import { matchesLabelSelector, type LabelSelector, type Labels } from "../api/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import { podAnnotations, podLabels } from "./annotations.ts";
import type { InjectionSettings } from "./injection-settings.ts";

export type InjectionDecision = { readonly inject: true } | { readonly inject: false; readonly reason: string };

/** Namespaces of the cluster's own pods. Pods in them are never injected. */
const systemNamespaces: ReadonlySet<string> = new Set([
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "local-path-storage",
]);

/**
 * Whether to inject a pod. Pods on the host's network, in system namespaces or in ambient mode are never injected. For
 * other pods, the first of these that applies decides: the pod's label, or else its annotation, if it is true or false;
 * `ambient` as the namespace's mode; `neverInjectSelector`; `alwaysInjectSelector`; the policy.
 */
export function injectionDecision(
  pod: Pod,
  namespace: string,
  namespaceLabels: Labels,
  settings: InjectionSettings,
): InjectionDecision {
  const { labels = {}, annotations = {} } = pod.metadata;
  if (pod.spec?.hostNetwork === true) return no("it is on the host's network");
  if (systemNamespaces.has(namespace)) return no(`${namespace} is a namespace of the cluster itself`);
  if (annotations[podAnnotations.redirection] === "enabled") return no("a ztunnel captures its traffic");
  const injectValue = labels[podLabels.inject] ?? annotations[podAnnotations.inject];
  const mode = labels[podLabels.dataplaneMode];
  if (mode === "ambient") return no(`its label ${podLabels.dataplaneMode} is ambient`);
  if (injectValue === "true") return { inject: true };
  if (injectValue === "false") return no(`${podLabels.inject} is "false"`);
  // As in upstream, the namespace label `istio-injection` takes precedence over ambient. A revision label does not,
  // because it may be meant only for the namespace's waypoints.
  const isRequested = namespaceLabels[istioLabels.injection] === "enabled";
  if (mode !== "none" && !isRequested && namespaceLabels[podLabels.dataplaneMode] === "ambient")
    return no(`its namespace is labelled ${podLabels.dataplaneMode}=ambient`);
  if (settings.neverInjectSelector.some((selector) => selects(selector, labels)))
    return no("a neverInjectSelector selects it");
  if (settings.alwaysInjectSelector.some((selector) => selects(selector, labels))) return { inject: true };
  return settings.policy === "enabled" ? { inject: true } : no("the injection policy is disabled");
}

function no(reason: string): InjectionDecision {
  return { inject: false, reason };
}

/**
 * Whether the selector matches the labels. An empty selector matches nothing here, so that a mistake does not inject
 * every pod.
 */
function selects(selector: LabelSelector, labels: Labels): boolean {
  const isEmpty =
    Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
  return !isEmpty && matchesLabelSelector(selector, labels);
}
