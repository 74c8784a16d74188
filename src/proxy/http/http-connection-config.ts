import type { HeadLimits } from "../../wire/http1/index.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { PathOptions } from "../routing/path.ts";
import type { HeaderMutation } from "../routing/header-mutation.ts";
import type { RequestTracing } from "../tracing/request-tracing.ts";

/** What an HTTP connection manager's configuration says; immutable. */
export interface HttpConnectionConfig {
  readonly statPrefix: string;
  /** What clients speak; `auto`: what TLS agreed on, or what the first bytes say. */
  readonly codec: "auto" | "http1" | "http2";
  /** Of HTTP/2 with clients; an interval of 0 means that they are not asked whether they live. */
  readonly http2: {
    readonly maxConcurrentStreams: number;
    readonly keepaliveIntervalMs: number;
    readonly keepaliveTimeoutMs: number;
  };
  /** The value of `server`. */
  readonly serverName: string;
  readonly serverHeader: "overwrite" | "append-if-absent" | "pass-through";
  /** We are the edge: the peer's address is the client's, and what only the edge may say is set here. */
  readonly useRemoteAddress: boolean;
  /** Addresses of clients whose word about themselves counts; none unless the listener names them. */
  readonly internalAddresses: readonly ((address: string) => boolean)[];
  readonly trustedHops: number;
  readonly appendForwardedFor: boolean;
  readonly path: PathOptions;
  /** Requests with a field whose name has an underscore are refused, or go on without it; absent: it is a field like any other. */
  readonly underscores?: "reject" | "drop";
  /** The port is taken from the host before routing and on the way up. */
  readonly stripHostPort: "none" | "any" | "matching";
  /** Protocols (lower case) that a request may upgrade to, unless its route says otherwise. */
  readonly upgrades: ReadonlySet<string>;
  readonly acceptHttp10: boolean;
  /** The host of an HTTP/1.0 request without one. */
  readonly defaultHostForHttp10: string;
  /** `expect: 100-continue` goes to the upstream, and its 100 comes back; otherwise we answer 100 ourselves. */
  readonly forwardContinue: boolean;
  /**
   * What becomes of `x-forwarded-client-cert`. All but `sanitize` and `always-forward` hold for connections with a verified
   * client certificate, others are sanitized: `forward` keeps the field, `append` adds an element for the client's
   * certificate, `set` puts that element in its place.
   */
  readonly clientCertificate: "sanitize" | "forward" | "append" | "set" | "always-forward";
  /** What an element says besides `By` and `Hash`, in this order. */
  readonly clientCertificateFields: readonly ("Cert" | "Chain" | "Subject" | "URI" | "DNS")[];
  /** Trailers over HTTP/1.1 go on, both ways; else they end here, as chunk extensions do. HTTP/2's always go on. */
  readonly http1Trailers: boolean;
  readonly generateRequestId: boolean;
  readonly preserveExternalRequestId: boolean;
  readonly requestIdInResponse: boolean;
  /** No request under way for this long closes the connection; 0 means no limit, here and below. */
  readonly idleTimeoutMs: number;
  /** A request during which no byte moves for this long. */
  readonly streamIdleTimeoutMs: number;
  /** From the first byte to the end of a request. */
  readonly requestTimeoutMs: number;
  /** From the first byte of a head to its end. */
  readonly headTimeoutMs: number;
  readonly headLimits: HeadLimits;
  /** What requests pass between their route and their upstream, in this order. */
  readonly filters: readonly HttpFilter[];
  /** All of them have something to do only where a route configures them. */
  readonly filtersIdle: boolean;
  /** Changes answers of our own: the first that matches. */
  readonly localReplies: readonly LocalReplyRule[];
  /** Of the client, and of the upstream: `x-envoy-peer-metadata` is read (and taken away), or written. */
  readonly peerMetadata: PeerMetadataExchange;
  /** A request may take this long in all, unless its route says otherwise; 0 means no limit. */
  readonly maxStreamDurationMs: number;
  /** Undefined: requests are not traced. */
  readonly tracing: RequestTracing | undefined;
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

export interface LocalReplyRule {
  readonly matches: (reply: { readonly status: number; readonly flag: string }) => boolean;
  /** Undefined: as it is; also below. */
  readonly status: number | undefined;
  readonly body: ((reply: { readonly status: number; readonly body: string }) => string) | undefined;
  readonly contentType: string | undefined;
  readonly headers: HeaderMutation | undefined;
}

export interface PeerMetadataExchange {
  readonly readFromClient: boolean;
  readonly writeToClient: boolean;
  readonly readFromUpstream: boolean;
  readonly writeToUpstream: boolean;
  /** What is outside of the mesh is told nothing. */
  readonly inMeshOnly: boolean;
}
