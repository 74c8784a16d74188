import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { ResponseFlag } from "./response-flags.ts";

/** What is known of an exchange when it has ended; read at once, for the object is used again. */
export interface ExchangeRecord {
  readonly startedMs: number;
  readonly durationMs: number;
  readonly method: string;
  /** The target as the client sent it, or as normalised. */
  readonly pathAndQuery: string;
  readonly protocol: "HTTP/1.0" | "HTTP/1.1";
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
  readonly cluster: Cluster | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly upstreamLocal: string;
  readonly downstreamLocal: string;
  readonly downstreamRemote: string;
  readonly grpcStatus: string;
  readonly capturedRequest: readonly string[];
  readonly capturedResponse: readonly string[];
}

/** Told once for each exchange. */
export type ExchangeObserver = (record: ExchangeRecord) => void;
