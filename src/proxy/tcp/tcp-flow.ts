import type { ConnectionInfo } from "../terms/connection-info.ts";
import { responseFlags, type ResponseFlag } from "../terms/response-flags.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";

/** The facts about a relayed TCP connection. Its counts grow while the connection lives. */
export interface TcpFlow {
  readonly startedMs: number;
  readonly connection: ConnectionInfo;
  readonly clusterName: string;
  cluster: Cluster | undefined;
  endpoint: Endpoint | undefined;
  /** The workload that the endpoint's proxy claims to serve. */
  upstreamPeer: WorkloadLabels | undefined;
  /** `ip:port` of our side of the upstream connection. Empty before there is one. */
  upstreamLocal: string;
  /** The number of bytes from the client. `sentBytes` counts the bytes to the client. */
  receivedBytes: number;
  sentBytes: number;
  durationMs: number;
  flag: ResponseFlag;
  transportFailure: string;
}

export interface TcpObserver {
  opened(flow: TcpFlow): void;
  /** Called every few seconds while bytes move, and once before `closed`. */
  moved(flow: TcpFlow): void;
  closed(flow: TcpFlow): void;
}

/** The flow of a connection that has no upstream and no bytes yet. */
export function beginFlow(
  connection: ConnectionInfo,
  startedMs: number,
  clusterName: string,
  cluster: Cluster | undefined,
): TcpFlow {
  return {
    startedMs,
    connection,
    clusterName,
    cluster,
    endpoint: undefined,
    upstreamPeer: undefined,
    upstreamLocal: "",
    receivedBytes: 0,
    sentBytes: 0,
    durationMs: 0,
    flag: responseFlags.none,
    transportFailure: "",
  };
}
