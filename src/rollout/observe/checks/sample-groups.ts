import { BoundedCache } from "../../../base/index.ts";
import type { PrometheusSample } from "../../../telemetry/index.ts";
import type { CheckSubject, WorkloadMatch } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { sidecarRevision, workloadOf } from "../sidecar-workloads.ts";
import { runningPods, type ProxyPod } from "./proxies.ts";

export type Group = "canary" | "stable";
export type Grouping = (sample: PrometheusSample, proxy: ProxyPod) => Group | undefined;

/**
 * Which proxies' counters are used. Several proxies may count the same request, and it must count once. `source`: the
 * proxy at the client (gateway or sidecar). `waypoint`: the waypoint in front of the service. `destination`: the
 * server's sidecar, which alone counts the requests of clients without a proxy. A `ReporterChoice` chooses one.
 */
export type Reporter = "source" | "waypoint" | "destination";

const maxServers = 4096;
const none: ReadonlySet<string> = new Set();

/**
 * The revisions of servers, as the looks of one check know them. A server keeps its revisions while its only pod
 * restarts. A server "came late" if it had no pod when the check first saw a request to it, and has a pod now. The
 * check never counts requests to such a server, because proxies' counts from long before the step would suddenly count
 * for a version.
 */
export class KnownServers {
  readonly #revisions = new BoundedCache<string, ReadonlySet<string> | "late">(maxServers);

  /**
   * The revisions for which requests to the server count. Undefined for a server that came late. `running`: the
   * revisions of the server's present pods, or undefined if it has no pods.
   */
  revisionsOf(server: string, running: ReadonlySet<string> | undefined): ReadonlySet<string> | undefined {
    const known = this.#revisions.get(server);
    if (known === "late") return undefined;
    if (known !== undefined && running === undefined) return known;
    const isLate = known?.size === 0;
    this.#revisions.set(server, isLate ? "late" : (running ?? none));
    return isLate ? undefined : (running ?? none);
  }
}

export function groupingOf(view: ClusterView, subject: CheckSubject, servers = new KnownServers()): Grouping {
  switch (subject.type) {
    case "mesh":
      return () => "canary";
    case "gatewayRevisions":
      return (_, { revision }) => byRevision(revision, subject);
    case "proxies":
      return (_, { revision }) => (revision === subject.revision ? "canary" : undefined);
    case "probes":
      return () => undefined;
    case "backends":
      return ({ labels }) =>
        isOf(labels, subject.canary) ? "canary" : isOf(labels, subject.stable) ? "stable" : undefined;
    case "revisions":
      return groupByEitherEnd(view, subject, servers);
  }
}

function byRevision(
  revision: string,
  { canary, stable }: { readonly canary: string; readonly stable: string },
): Group | undefined {
  if (revision === canary) return "canary";
  return revision === stable ? "stable" : undefined;
}

/**
 * Compares the Service, the workload, or both, as far as the match names them. A match that names neither never
 * matches.
 */
function isOf(labels: PrometheusSample["labels"], { service, workload, namespace }: WorkloadMatch): boolean {
  if (
    workload !== undefined &&
    (labels["destination_workload"] !== workload || labels["destination_workload_namespace"] !== namespace)
  )
    return false;
  if (
    service !== undefined &&
    (labels["destination_service_name"] !== service || labels["destination_service_namespace"] !== namespace)
  )
    return false;
  return workload !== undefined || service !== undefined;
}

/** A request belongs to the canary if a proxy of the new revision is at either end, because either end can break it. */
function groupByEitherEnd(
  view: ClusterView,
  subject: Extract<CheckSubject, { type: "revisions" }>,
  servers: KnownServers,
): Grouping {
  const revisions = new Map<string, Set<string>>();
  for (const pod of runningPods(view)) {
    const revision = sidecarRevision(pod);
    if (revision === undefined) continue;
    const { namespace = "", name } = workloadOf(pod);
    const known = revisions.get(`${namespace}/${name}`) ?? new Set();
    revisions.set(`${namespace}/${name}`, known.add(revision));
  }
  const chosen = (namespace: string): boolean =>
    subject.namespaces.length === 0 || subject.namespaces.includes(namespace);
  return ({ labels }, { pod, revision }) => {
    const namespace = labels["destination_workload_namespace"] ?? "";
    if (!chosen(pod.metadata.namespace ?? "") && !chosen(namespace)) return undefined;
    const name = `${namespace}/${labels["destination_workload"] ?? ""}`;
    const server = servers.revisionsOf(name, revisions.get(name));
    if (server === undefined) return undefined;
    if (revision === subject.canary || server.has(subject.canary)) return "canary";
    return revision === subject.stable || server.has(subject.stable) ? "stable" : undefined;
  };
}

export function reporterOf({ labels }: PrometheusSample): Reporter | undefined {
  const reporter = labels["reporter"];
  return reporter === "source" || reporter === "waypoint" || reporter === "destination" ? reporter : undefined;
}
