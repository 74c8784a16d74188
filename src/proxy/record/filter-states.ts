import type { ConnectionInfo } from "../terms/connection-info.ts";
import { unknownWorkload, type WorkloadLabels } from "../terms/workload-labels.ts";
import type { ExchangeRecord } from "./exchange-record.ts";

/** The client's workload, if it is known. */
export function downstreamPeer({
  downstreamPeer: announcedPeer,
  connection,
}: Pick<ExchangeRecord, "downstreamPeer" | "connection">): WorkloadLabels | undefined {
  return announcedPeer ?? connection.peer;
}

/** The server's workload, according to its proxy, or else to the endpoint's metadata from the control plane. */
export function upstreamPeer({
  upstreamPeer: announcedPeer,
  endpoint,
}: Pick<ExchangeRecord, "upstreamPeer" | "endpoint">): WorkloadLabels | undefined {
  return announcedPeer ?? endpoint?.config.workload;
}

/** A workload's fields under the names that Istio's filters give them. */
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
 * The filter states that Istio's filters record for expressions: the identities and the workloads of both ends of the
 * connection.
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
