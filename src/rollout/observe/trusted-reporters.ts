import { ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import type { CheckSubject } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";

/**
 * Whether it counts what the proxies of a namespace acknowledge and reject. Whoever may start a pod decides that for
 * the pod's proxy, also about objects of other namespaces. `concerned`: the namespaces of the rollout's objects.
 * Undefined if they are those of all tenants.
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
