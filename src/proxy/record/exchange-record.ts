import type { UpstreamEnd } from "../terms/address-text.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { RequestTrace } from "../terms/request-trace.ts";
import type { RandomUuid } from "../terms/random-id.ts";
import type { ResponseFlag } from "../terms/response-flags.ts";

/**
 * The facts about one exchange, while it runs or at its end. Each exchange has its own record, which no longer changes
 * after the end. A reference to a record keeps the memory of its whole exchange alive.
 */
export interface ExchangeRecord {
  readonly startedMs: number;
  readonly durationMs: number;
  readonly method: string;
  /** The client's target, normalized if the listener says so. */
  readonly pathAndQuery: string;
  readonly protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  readonly authority: string;
  /** The status of the response. 0 if there was none. */
  readonly status: number;
  readonly flag: ResponseFlag;
  /** Envoy's `response_code_details`. */
  readonly details: string;
  /** Whether a filter has found that the request is a load balancer's health check. */
  readonly isHealthCheck: boolean;
  readonly transportFailure: string;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /**
   * The time from the last byte of the request to the first byte of the response, in milliseconds. -1 if there was no
   * response, or it began before the request's last byte.
   */
  readonly upstreamServiceMs: number;
  /** The time from the request's start to the first byte of the response, in milliseconds. -1 without a response. */
  readonly answeredAfterMs: number;
  readonly requestId: string;
  /** The request's id again, if it is random and can be written as bytes. */
  readonly randomId?: RandomUuid | undefined;
  readonly forwardedFor: string;
  readonly userAgent: string;
  readonly routeName: string;
  /** The name of the route's operation in traces. Empty if it has none. */
  readonly operation: string;
  readonly retries: number;
  readonly trace: RequestTrace | undefined;
  readonly cluster: Cluster | undefined;
  readonly endpoint: Endpoint | undefined;
  /**
   * Our end of the connection to the endpoint. Undefined without such a connection, or if no other request can use it.
   */
  readonly upstreamEnd?: UpstreamEnd | undefined;
  /** The address of our end, as text. Empty without a connection. */
  readonly upstreamLocal: string;
  readonly downstreamLocal: string;
  readonly downstreamRemote: string;
  /** The client's connection, with the facts of its TLS and of the tunnel that carried it. */
  readonly connection: ConnectionInfo;
  /** The client's SNI. Empty if there is none. */
  readonly requestedServerName: string;
  /** The workload that the client's proxy claims to serve. Undefined if the client sent no metadata. */
  readonly downstreamPeer: WorkloadLabels | undefined;
  /** The workload that the upstream's proxy claims to serve. Undefined if the upstream sent no metadata. */
  readonly upstreamPeer: WorkloadLabels | undefined;
  readonly isGrpc: boolean;
  readonly grpcStatus: string;
  /** The number of messages in a gRPC request and its response. 0 if bodies are not parsed (HTTP/1.1). */
  readonly requestMessages: number;
  readonly responseMessages: number;
  /** The metadata that filters set, by the filter's name. Undefined if there is none. */
  readonly metadata: ReadonlyMap<string, unknown> | undefined;
  /** The trailers of the response: alternating names in lower case and values. */
  readonly trailers: readonly string[];
  readonly capturedRequest: readonly string[];
  readonly capturedResponse: readonly string[];
}

/** Called once for each ended exchange, and regularly for open gRPC streams. */
export type ExchangeObserver = (record: ExchangeRecord) => void;
