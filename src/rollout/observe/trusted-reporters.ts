import { ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import type { CheckSubject } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";

/**
 * Whether the acknowledgements and rejections of a namespace's proxies count. Whoever may start a pod decides what its
 * proxy answers, also about objects of other namespaces. `concerned` are the namespaces of the rollout's objects.
 * Undefined means that all namespaces are concerned, and then all proxies count.
 */
export function countsFor(
  view: Pick<ClusterView, "reporterNamespaces" | "controlPlaneNamespaces">,
  concerned: readonly string[] | undefined,
  namespace: string,
): boolean {
  const { reporterNamespaces } = view;
  if (reporterNamespaces === undefined || concerned === undefined || concerned.includes(namespace)) return true;
  return reporterNamespaces.has(namespace) || ztunnelNamespaces(view.controlPlaneNamespaces()).has(namespace);
}

/** The namespaces that a check of the subject concerns. */
export function namespacesConcerned(subject: CheckSubject): readonly string[] | undefined {
  return subject.type === "backends" ? [subject.canary.namespace, subject.stable.namespace] : undefined;
}
