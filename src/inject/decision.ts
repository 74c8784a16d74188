import { istioLabels } from "../api/istio/index.ts";
import { matchesLabelSelector, type LabelSelector, type Labels } from "../api/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import { podAnnotations, podLabels } from "./annotations.ts";
import type { InjectionSettings } from "./injection-settings.ts";

export type InjectionDecision = { readonly inject: true } | { readonly inject: false; readonly reason: string };

/** Namespaces with the pods of the kubelet and of the cluster itself. They are never injected. */
const systemNamespaces: ReadonlySet<string> = new Set([
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "local-path-storage",
]);

/**
 * Whether to inject a pod that reached the webhook. The pod's label overrides its annotation. If one of them is true or
 * false, it overrides the selectors of the configuration. Of the selectors, `neverInjectSelector` comes first. The
 * policy decides about all other pods.
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
  // As in upstream, an explicit request for injection takes precedence over ambient. A revision label does not, because
  // it may be meant only for the namespace's waypoints.
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
 * Whether the selector selects the labels. An empty selector selects nothing here, so that a mistake does not inject
 * every pod.
 */
function selects(selector: LabelSelector, labels: Labels): boolean {
  const isEmpty =
    Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
  return !isEmpty && matchesLabelSelector(selector, labels);
}
