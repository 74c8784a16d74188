import { isTree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { CheckSubject } from "../decide/index.ts";
import { probeNamespace } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";

/**
 * Whose proxies decide by their acknowledgements and rejections. Not all do: anybody who may start a pod determines
 * what its proxy reports, also about objects of other namespaces.
 */
export interface Reporters {
  /** Whether the proxies of the namespace decide, because they are concerned or trusted. */
  readonly isConcerned: (namespace: string) => boolean;
  /** Whether the engine also waits for the other proxies, for a limited time, and reports their rejections. */
  readonly asksOthers: boolean;
}

type View = Pick<ClusterView, "reporterNamespaces" | "controlPlaneNamespaces">;

/**
 * The reporters about objects of the concerned namespaces: the proxies of these namespaces, and those of control
 * planes, ztunnels, probes and the namespaces that the engine's settings name. If `concerned` is undefined, all proxies
 * are concerned.
 */
export function reportersOf(view: View, concerned: readonly string[] | undefined): Reporters {
  if (concerned === undefined) return { isConcerned: () => true, asksOthers: true };
  const { reporterNamespaces } = view;
  const own = new Set([
    ...concerned,
    ...(reporterNamespaces ?? []),
    ...ztunnelNamespaces(view.controlPlaneNamespaces()),
    probeNamespace,
  ]);
  return { isConcerned: (namespace) => own.has(namespace), asksOthers: reporterNamespaces === undefined };
}

/**
 * The namespaces that a check of the subject concerns. `touched`: the namespaces that the rollout has changed, or
 * undefined for a check outside any rollout. An undefined result means all namespaces.
 */
export function namespacesConcerned(
  subject: CheckSubject,
  touched: readonly string[] | undefined,
): readonly string[] | undefined {
  switch (subject.type) {
    case "backends":
      return [subject.canary.namespace, subject.stable.namespace, ...(touched ?? [])];
    case "gatewayRevisions":
      return [subject.gateway.namespace, ...(touched ?? [])];
    case "revisions":
      return touched === undefined ? undefined : [...subject.namespaces, ...touched];
    case "mesh":
    case "probes":
    case "proxies":
      return touched;
  }
}

export function namespacesOf(journal: readonly JournalEntry[]): readonly string[] {
  const names = journal.flatMap(({ object: { kind, name, namespace } }) =>
    kind === "Namespace" ? [name] : namespace === undefined ? [] : [namespace],
  );
  return [...new Set(names)];
}

export function namespacesOfRoute(object: UntypedObject): readonly string[] {
  const { namespace = "" } = object.metadata;
  const { parentRefs, gateways } = isTree(object["spec"]) ? object["spec"] : {};
  const parents = Array.isArray(parentRefs) ? parentRefs.filter(isTree) : [];
  const named = Array.isArray(gateways) ? gateways.filter((name) => typeof name === "string") : [];
  return [
    namespace,
    ...parents.flatMap((parent) => (typeof parent["namespace"] === "string" ? [parent["namespace"]] : [])),
    ...named.flatMap((name) => (name.includes("/") ? [name.slice(0, name.indexOf("/"))] : [])),
  ];
}
