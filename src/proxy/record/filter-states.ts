import type { ConnectionInfo } from "../terms/connection-info.ts";
import { unknownWorkload, type WorkloadLabels } from "../terms/workload-labels.ts";
import type { ExchangeRecord } from "./exchange-record.ts";

export function downstreamPeer({
  downstreamPeer: announcedPeer,
  connection,
}: Pick<ExchangeRecord, "downstreamPeer" | "connection">): WorkloadLabels | undefined {
  return announcedPeer ?? connection.peer;
}

/** The server's workload: what its proxy says, or else what the control plane's metadata of the endpoint says. */
export function upstreamPeer({
  upstreamPeer: announcedPeer,
  endpoint,
}: Pick<ExchangeRecord, "upstreamPeer" | "endpoint">): WorkloadLabels | undefined {
  return announcedPeer ?? endpoint?.config.workload;
}

/** A workload's fields under the names that Istio's filters use. */
export function peerFields({
  workload,
  cluster,
  namespace,
  canonicalName,
  canonicalRevision,
}: WorkloadLabels): Readonly<Record<string, string>> {
  return {
    workload,
    cluster,
    namespace,
    service: canonicalName,
    revision: canonicalRevision,
    app: canonicalName,
    version: canonicalRevision,
  };
}

interface Peers {
  readonly downstream: WorkloadLabels | undefined;
  readonly upstream: WorkloadLabels | undefined;
}

/**
 * The filter states that Istio's filters record: the identities and the workloads at both ends of the connection.
 * Expressions may read them.
 */
export function filterStates(
  { tls }: ConnectionInfo,
  { downstream, upstream }: Peers,
): Readonly<Record<string, unknown>> {
  return {
    ...(tls?.verified !== true || tls.peerIdentity === "" ? {} : { "io.istio.peer_principal": tls.peerIdentity }),
    ...(tls === undefined || tls.localIdentity === "" ? {} : { "io.istio.local_principal": tls.localIdentity }),
    ...peerState("downstream_peer", downstream),
    ...peerState("upstream_peer", upstream),
  };
}

function peerState(name: string, peer: WorkloadLabels | undefined): Readonly<Record<string, unknown>> {
  if (peer === undefined || peer === unknownWorkload) return {};
  const { labels } = peer;
  return { [name]: { ...peerFields(peer), ...(labels === undefined ? {} : { labels }) } };
}
