import type { ConnectedProxy } from "../../api/serin/index.ts";

type TypeState = ConnectedProxy["types"][string];

const shortNames: Readonly<Record<string, string>> = {
  "envoy.config.cluster.v3.Cluster": "CDS",
  "envoy.config.listener.v3.Listener": "LDS",
  "envoy.config.endpoint.v3.ClusterLoadAssignment": "EDS",
  "envoy.config.route.v3.RouteConfiguration": "RDS",
  "envoy.config.route.v3.VirtualHost": "VHDS",
  "envoy.extensions.transport_sockets.tls.v3.Secret": "SDS",
  "envoy.config.core.v3.TypedExtensionConfig": "ECDS",
  "istio.workload.Address": "WDS",
  "istio.workload.Workload": "WDS",
  "istio.mesh.v1alpha1.ProxyConfig": "PCDS",
  "istio.security.Authorization": "WADS",
  "istio.networking.nds.v1.NameTable": "NDS",
};
const order = ["CDS", "LDS", "EDS", "RDS"];

/** The short name of a type URL, for example `CDS`. */
export function shortTypeOf(typeUrl: string): string {
  const type = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
  return shortNames[type] ?? type;
}

/** Sorts CDS, LDS, EDS, RDS first, then the others by name. */
export function compareTypes(a: string, b: string): number {
  const rank = (name: string): number => (order.indexOf(name) + order.length + 1) % (order.length + 1);
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

export type SyncState = "SYNCED" | "STALE" | "ERROR" | "NOT_SENT";

/**
 * The state with the names of xDS's status service. ERROR: the push was rejected. STALE: it is not acknowledged yet.
 */
export function syncStateOf({ sent, acked, reason }: TypeState): SyncState {
  if (reason !== null) return "ERROR";
  if (sent === "") return "NOT_SENT";
  return sent === acked ? "SYNCED" : "STALE";
}
