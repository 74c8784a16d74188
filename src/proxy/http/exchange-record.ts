import type { ConnectionInfo } from "../connection-info.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { WorkloadLabels } from "../upstream/endpoint.ts";
import type { RequestTrace } from "../tracing/request-trace.ts";
import type { ResponseFlag } from "./response-flags.ts";

/** What is known of an exchange when it has ended, or so far; read at once, for the object is used again. */
export interface ExchangeRecord {
  readonly startedMs: number;
  readonly durationMs: number;
  readonly method: string;
  /** The target as the client sent it, or as normalised. */
  readonly pathAndQuery: string;
  readonly protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  readonly authority: string;
  /** 0 when no answer was given. */
  readonly status: number;
  readonly flag: ResponseFlag;
  /** Envoy's `response_code_details`. */
  readonly details: string;
  readonly transportFailure: string;
  /** Body bytes. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Time from the request's last byte to the answer's first, as the upstream took it; -1 without an answer. */
  readonly upstreamServiceMs: number;
  readonly requestId: string;
  readonly forwardedFor: string;
  readonly userAgent: string;
  readonly routeName: string;
  /** What the route calls the work, in traces; empty when it says nothing. */
  readonly operation: string;
  /** Attempts after the first. */
  readonly retries: number;
  /** Undefined where the request is not traced. */
  readonly trace: RequestTrace | undefined;
  readonly cluster: Cluster | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly upstreamLocal: string;
  readonly downstreamLocal: string;
  readonly downstreamRemote: string;
  /** The client's connection: its TLS (identities, requested server name), and who a tunnel says that it is. */
  readonly connection: ConnectionInfo;
  /** The client's SNI; empty without. */
  readonly requestedServerName: string;
  /** Who the client's proxy says that it speaks for; undefined when nobody said. */
  readonly downstreamPeer: WorkloadLabels | undefined;
  /** Who the upstream's proxy says that it speaks for. */
  readonly upstreamPeer: WorkloadLabels | undefined;
  /** The request's content type was gRPC's. */
  readonly isGrpc: boolean;
  /** Of the answer's head or trailers. */
  readonly grpcStatus: string;
  /** Messages of a gRPC request and its answer; 0 where bodies are not looked at (HTTP/1.1). */
  readonly requestMessages: number;
  readonly responseMessages: number;
  /** What filters said of the request, by the filter's name; undefined when none did. */
  readonly metadata: ReadonlyMap<string, unknown> | undefined;
  /** Of the answer: names in lower case and values in turn. */
  readonly trailers: readonly string[];
  readonly capturedRequest: readonly string[];
  readonly capturedResponse: readonly string[];
}

/** Told once for each exchange, or of those that go on. */
export type ExchangeObserver = (record: ExchangeRecord) => void;
