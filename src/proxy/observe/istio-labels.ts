import { ownField } from "../../base/index.ts";
import { unknownWorkload, type WorkloadLabels } from "../terms/workload-labels.ts";
import { parseIdentity } from "../../dataplane/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import { flagLetters, type ResponseFlag } from "../terms/response-flags.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";

export interface OwnLabels extends WorkloadLabels {
  readonly principal: string;
  readonly app: string;
  readonly version: string;
}

/** This proxy's role in an exchange: at the client, at the server, or between the two. */
export type Reporter = "source" | "destination" | "waypoint";

const endNames = [
  "workload",
  "workload_namespace",
  "principal",
  "app",
  "version",
  "canonical_service",
  "canonical_revision",
  "cluster",
];
export const peerNames = [
  "reporter",
  ...endNames.map((name) => `source_${name}`),
  ...endNames.map((name) => `destination_${name}`),
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
];
/** Labels about the protocol and the outcome, after those about the peers. */
export const commonNames = [...peerNames, "request_protocol", "response_flags", "connection_security_policy"];
export const requestNames = [...commonNames, "response_code", "grpc_response_status"];

/** What the labels of a request or a connection are made from, except its outcome. */
export interface Ends {
  readonly reporter: Reporter;
  readonly connection: ConnectionInfo;
  /** The metadata that the proxies at both ends have sent. Undefined for an end that has sent none. */
  readonly clientPeer: WorkloadLabels | undefined;
  readonly serverPeer: WorkloadLabels | undefined;
  readonly cluster: Cluster | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly routeName: string;
  /** The requested host, if it replaces the name of an unknown service. Undefined if it does not. */
  readonly host: string | undefined;
}

/** Values of {@link commonNames}, those of {@link peerNames} first. */
export function commonValues(own: OwnLabels, ends: Ends, protocol: string, flag: ResponseFlag): string[] {
  const { reporter, connection } = ends;
  const security = reporter === "source" ? "unknown" : isMutual(connection) ? "mutual_tls" : "none";
  return [
    reporter,
    ...sourceValues(own, ends),
    ...destinationValues(own, ends),
    ...serviceValues(own, ends),
    protocol,
    flagLetters(flag),
    security,
  ];
}

const catchAllClusters = new Set([
  "BlackHoleCluster",
  "PassthroughCluster",
  "InboundPassthroughCluster",
  "InboundPassthroughClusterIpv4",
  "InboundPassthroughClusterIpv6",
]);
const catchAllRoutes: Readonly<Record<string, string>> = {
  block_all: "BlackHoleCluster",
  allow_any: "PassthroughCluster",
};

/** Whether a request leads to no service. Its labels may then contain the requested host. */
export function namesHost({ cluster, routeName }: Pick<Ends, "cluster" | "routeName">): boolean {
  return cluster?.config.service === undefined || ownField(catchAllRoutes, routeName) !== undefined;
}

/**
 * The labels of the service. As in upstream Istio, the name is the service's, or else the requested host. Traffic of a
 * catch-all cluster has that cluster's name, such as `PassthroughCluster`.
 */
function serviceValues(
  own: OwnLabels,
  { reporter, cluster, endpoint, routeName, host }: Ends,
): readonly [service: string, name: string, namespace: string] {
  const wayName =
    ownField(catchAllRoutes, routeName) ??
    (cluster !== undefined && catchAllClusters.has(cluster.name) ? cluster.name : undefined);
  const service = wayName === undefined ? cluster?.config.service : undefined;
  const namespace =
    service?.namespace ??
    (reporter === "destination" ? own.namespace : (endpoint?.config.workload.namespace ?? "unknown"));
  return [service?.host ?? host ?? "unknown", wayName ?? service?.name ?? host ?? "unknown", namespace];
}

function sourceValues(own: OwnLabels, { reporter, connection, clientPeer, endpoint }: Ends): string[] {
  if (reporter === "source") {
    const secured = endpoint !== undefined && endpoint.config.transport.kind !== "plain";
    return [
      own.workload,
      own.namespace,
      secured ? own.principal : "unknown",
      own.app,
      own.version,
      own.canonicalName,
      own.canonicalRevision,
      own.cluster,
    ];
  }
  const identity = connection.tls?.peerIdentity ?? "";
  const peer = clientPeer ?? connection.peer ?? workloadOfIdentity(identity);
  return peerValues(peer, identity === "" ? "unknown" : identity);
}

function destinationValues(own: OwnLabels, { reporter, connection, endpoint, serverPeer }: Ends): string[] {
  if (reporter !== "destination") {
    const known = endpoint?.config.workload ?? unknownWorkload;
    return peerValues(
      known.workload === unknownWorkload.workload ? (serverPeer ?? known) : known,
      (endpoint?.peerIdentity ?? "") || "unknown",
    );
  }
  const identity = connection.tls?.localIdentity ?? "";
  return [
    own.workload,
    own.namespace,
    identity === "" ? "unknown" : identity,
    own.app,
    own.version,
    own.canonicalName,
    own.canonicalRevision,
    own.cluster,
  ];
}

function peerValues(peer: WorkloadLabels, principal: string): string[] {
  return [
    peer.workload,
    peer.namespace,
    principal,
    peer.canonicalName,
    peer.canonicalRevision,
    peer.canonicalName,
    peer.canonicalRevision,
    peer.cluster,
  ];
}

function isMutual({ tls }: ConnectionInfo): boolean {
  return tls?.verified === true && tls.peerIdentity !== "" && tls.localIdentity !== "";
}

/** The labels of a peer that has sent no metadata. Its certificate still proves its namespace. */
function workloadOfIdentity(text: string): WorkloadLabels {
  const identity = parseIdentity(text);
  return identity === undefined ? unknownWorkload : { ...unknownWorkload, namespace: identity.namespace };
}
