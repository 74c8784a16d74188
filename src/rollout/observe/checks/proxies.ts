import { istioLabels } from "../../../api/istio/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { CheckSubject } from "../../decide/index.ts";
import { isRunning, type ClusterView } from "../cluster-view.ts";
import { isZtunnel } from "../pilot-answers.ts";
import { sidecarRevision } from "../sidecar-workloads.ts";

const waypointClass = "istio-waypoint";
const templatesAnnotation = "inject.istio.io/templates";
const gatewayTemplate = "gateway";

/**
 * The maximum number of proxies that one look scrapes. Gateways and waypoints come first, and sidecars last. Among
 * those of a kind, the subject's namespaces come first, and the others take turns: anybody who may create pods can
 * create any number of pods that look like gateways.
 */
export const maxProxies = 128;

export type ProxyKind = "gateway" | "waypoint" | "sidecar" | "ztunnel";

export interface ProxyPod {
  readonly pod: Pod;
  readonly kind: ProxyKind;
  readonly revision: string;
}

export function proxyPods(view: ClusterView): ProxyPod[] {
  return runningPods(view).flatMap((pod) => {
    const kind = kindOf(view, pod);
    return kind === undefined || pod.metadata.annotations?.["prometheus.io/scrape"] !== "true"
      ? []
      : [{ pod, kind, revision: revisionOf(pod) }];
  });
}

export function runningPods(view: ClusterView): readonly Pod[] {
  return view.pods.list().filter(isRunning);
}

function kindOf(view: ClusterView, pod: Pod): ProxyKind | undefined {
  const { labels = {}, annotations = {} } = pod.metadata;
  if (
    labels["gateway.istio.io/managed"] === "istio.io-mesh-controller" ||
    labels[istioLabels.gatewayClassName] === waypointClass
  )
    return "waypoint";
  if (labels[istioLabels.gatewayName] !== undefined || /^(ingress|egress)gateway$/.test(labels["istio"] ?? ""))
    return "gateway";
  if (annotations[templatesAnnotation]?.split(",").some((name) => name.trim() === gatewayTemplate) === true)
    return "gateway";
  // Requires more than a label: if there are ztunnels, a check ignores the counts of other proxies, so a pod that only
  // looks like a ztunnel could hide all connections.
  if (isZtunnel(view, pod)) return "ztunnel";
  return sidecarRevision(pod) === undefined ? undefined : "sidecar";
}

export function revisionOf(pod: Pod): string {
  return sidecarRevision(pod) ?? pod.metadata.labels?.[istioLabels.revision] ?? "default";
}

export function proxiesFor(view: ClusterView, subject: CheckSubject): ProxyPod[] {
  const all = proxyPods(view);
  switch (subject.type) {
    case "mesh":
      return bounded(all);
    case "gatewayRevisions":
      return bounded(
        all.filter(
          ({ pod: { metadata } }) =>
            metadata.labels?.[istioLabels.gatewayName] === subject.gateway.name &&
            metadata.namespace === subject.gateway.namespace,
        ),
      );
    case "probes":
      return bounded(all.filter(({ revision }) => subject.revisions.includes(revision)));
    case "proxies":
      return bounded(all.filter(({ revision }) => revision === subject.revision));
    case "backends":
      return bounded(
        all.filter((proxy) => proxy.kind !== "ztunnel" && mayReport(view, subject, proxy)),
        new Set([subject.canary.namespace, subject.stable.namespace]),
      );
    case "revisions":
      // Requests to these namespaces may come from any namespace, so all proxies may count them.
      return bounded(
        all.filter(({ kind }) => kind !== "ztunnel"),
        new Set(subject.namespaces),
      );
  }
}

/**
 * Whether a proxy's counters count for a subject. Whoever may create a pod decides what the pod reports, even about
 * requests to servers of other namespaces. So the operator of a mesh with tenants lists the namespaces whose proxies
 * may report such requests ({@link ClusterView.reporterNamespaces}).
 */
export function mayReport(view: ClusterView, subject: CheckSubject, { kind, pod }: ProxyPod): boolean {
  if (subject.type !== "backends" || view.reporterNamespaces === undefined || kind === "ztunnel") return true;
  const { namespace = "" } = pod.metadata;
  return (
    namespace === subject.canary.namespace ||
    namespace === subject.stable.namespace ||
    view.reporterNamespaces.has(namespace) ||
    view.controlPlaneNamespaces().has(namespace)
  );
}

const order: Readonly<Record<ProxyKind, number>> = { gateway: 0, waypoint: 1, ztunnel: 2, sidecar: 3 };

function bounded(pods: readonly ProxyPod[], preferred: ReadonlySet<string> = new Set()): ProxyPod[] {
  const counts = new Map<string, number>();
  return pods
    .toSorted(byKindAndName)
    .map((proxy) => {
      const { kind, pod } = proxy;
      const { namespace = "" } = pod.metadata;
      const turn = counts.get(`${kind} ${namespace}`) ?? 0;
      counts.set(`${kind} ${namespace}`, turn + 1);
      return { proxy, turn: preferred.has(namespace) ? -1 : turn };
    })
    .toSorted((left, right) => order[left.proxy.kind] - order[right.proxy.kind] || left.turn - right.turn)
    .slice(0, maxProxies)
    .map(({ proxy }) => proxy);
}

function byKindAndName(left: ProxyPod, right: ProxyPod): number {
  return (
    order[left.kind] - order[right.kind] || (left.pod.metadata.name ?? "").localeCompare(right.pod.metadata.name ?? "")
  );
}

export function describeSubject(subject: CheckSubject): string {
  switch (subject.type) {
    case "mesh":
      return "the mesh";
    case "gatewayRevisions":
      return `gateway ${subject.gateway.namespace}/${subject.gateway.name}`;
    case "probes":
      return `the probes of ${subject.revisions.join(" and ")}`;
    case "proxies":
      return `revision ${subject.revision}`;
    case "revisions":
      return `revisions ${subject.canary} and ${subject.stable}`;
    case "backends": {
      const side = ({ service, workload, namespace }: typeof subject.canary): string =>
        `${namespace}/${workload ?? service ?? ""}`;
      return `${side(subject.canary)} and ${side(subject.stable)}`;
    }
  }
}
