import type { MetricsRegistry } from "../../telemetry/index.ts";

export type RemoteSyncStatus = (typeof statuses)[number];
const statuses = ["synced", "syncing", "timeout", "closed"] as const;

export interface RemoteClusterMetrics {
  managed(remotes: number): void;
  timedOut(cluster: string): void;
  secretEvent(event: "add" | "update" | "delete"): void;
  status(cluster: string, status: RemoteSyncStatus): void;
  /** Drops the metrics of a cluster that was removed from the mesh. */
  forget(cluster: string): void;
}

export function createRemoteClusterMetrics(metrics: MetricsRegistry): RemoteClusterMetrics {
  const clusters = metrics.gauge("istiod_managed_clusters", "Clusters that this control plane reads.", [
    "cluster_type",
  ]);
  const timeouts = metrics.counter(
    "remote_cluster_sync_timeouts_total",
    "Remote clusters that took too long to be read, so that the start continued without them.",
    ["cluster"],
  );
  const events = metrics.counter("remote_cluster_secret_events_total", "Events of secrets that name remote clusters.", [
    "event",
  ]);
  const states = metrics.gauge("istiod_remote_cluster_sync_status", "1 for the state that a remote cluster is in.", [
    "cluster",
    "cluster_type",
    "status",
  ]);
  const set = (cluster: string, current: RemoteSyncStatus | undefined): void => {
    for (const status of statuses) states.labels(cluster, "remote", status).set(status === current ? 1 : 0);
  };
  clusters.labels("local").set(1);
  return {
    managed: (remotes) => clusters.labels("remote").set(remotes),
    timedOut: (cluster) => timeouts.labels(cluster).add(1),
    secretEvent: (event) => events.labels(event).add(1),
    status: (cluster, status) => set(cluster, status),
    forget: (cluster) => set(cluster, undefined),
  };
}
