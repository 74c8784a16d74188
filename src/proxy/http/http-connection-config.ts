import type { HeadLimits } from "../../wire/http1/index.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { PathOptions } from "../routing/path.ts";
import type { HeaderMutation } from "../routing/header-mutation.ts";
import type { RequestTracing } from "../tracing/request-tracing.ts";

export interface HttpConnectionConfig {
  readonly statPrefix: string;
  /** The client's protocol. `auto` means the protocol that TLS negotiated or the first bytes show. */
  readonly codec: "auto" | "http1" | "http2";
  /** The settings of HTTP/2 connections with clients. An interval of 0 disables keepalive pings. */
  readonly http2: {
    readonly maxConcurrentStreams: number;
    readonly keepaliveIntervalMs: number;
    readonly keepaliveTimeoutMs: number;
  };
  readonly serverName: string;
  readonly serverHeader: "overwrite" | "append-if-absent" | "pass-through";
  /** Whether the proxy omits the headers with `x-envoy-` that describe its work to clients and upstreams. */
  readonly hidesEnvoyHeaders: boolean;
  /**
   * Whether this proxy is the edge of the mesh. The peer's address is then the client's, and the proxy sets the headers
   * that an edge sets.
   */
  readonly useRemoteAddress: boolean;
  /**
   * The networks of internal clients. Headers in which such a client describes itself are trusted. Empty unless the
   * listener names some.
   */
  readonly internalAddresses: readonly ((address: string) => boolean)[];
  readonly trustedHops: number;
  readonly appendForwardedFor: boolean;
  readonly appendForwardedPort: boolean;
  readonly path: PathOptions;
  /**
   * Whether requests with an underscore in a header name are rejected, or lose the header. Absent means that such
   * headers pass.
   */
  readonly underscores?: "reject" | "drop";
  /** Whether the port is stripped from the host, for routing and for the upstream. */
  readonly stripHostPort: "none" | "any" | "matching";
  /** Protocols (lower case) to which requests may upgrade, unless their route overrides it. */
  readonly upgrades: ReadonlySet<string>;
  readonly acceptHttp10: boolean;
  readonly defaultHostForHttp10: string;
  /**
   * Whether `expect: 100-continue` goes to the upstream, whose status 100 is then forwarded. Otherwise the proxy itself
   * responds with 100.
   */
  readonly forwardContinue: boolean;
  /**
   * How `x-forwarded-client-cert` is treated. `sanitize` removes the header, and `always-forward` keeps it. The other
   * modes need a verified client certificate, and remove the header without one: `forward` keeps it, `append` adds an
   * element for the client's certificate, and `set` replaces it by that element.
   */
  readonly clientCertificate: "sanitize" | "forward" | "append" | "set" | "always-forward";
  /** The parts that an element has besides `By` and `Hash`, in this order. */
  readonly clientCertificateFields: readonly ("Cert" | "Chain" | "Subject" | "URI" | "DNS")[];
  /**
   * Whether trailers of HTTP/1.1 pass, in both directions. If false, the proxy drops them. Trailers of HTTP/2 always
   * pass.
   */
  readonly http1Trailers: boolean;
  readonly generateRequestId: boolean;
  readonly preserveExternalRequestId: boolean;
  readonly requestIdInResponse: boolean;
  /**
   * The time after which a connection without an open request closes, in milliseconds. For this and all times below, 0
   * means no limit.
   */
  readonly idleTimeoutMs: number;
  /** After this time, a connection takes no more requests and closes after its last one. */
  readonly maxConnectionMs: number;
  /** After this many requests, a connection takes no more requests and closes after its last one. */
  readonly maxRequestsPerConnection: number;
  /** The maximum time without progress while a request is open. */
  readonly streamIdleTimeoutMs: number;
  /** The maximum time from a request's first byte until all of it has arrived. */
  readonly requestTimeoutMs: number;
  /** The maximum time from a request's first byte until its whole head has arrived. */
  readonly headTimeoutMs: number;
  readonly headLimits: HeadLimits;
  /** The filters that run between routing and the upstream, in this order. */
  readonly filters: readonly HttpFilter[];
  readonly filtersIdle: boolean;
  /** Changes the proxy's own responses. The first rule that matches applies. */
  readonly localReplies: readonly LocalReplyRule[];
  /**
   * Whether the proxy reads (and removes) or writes `x-envoy-peer-metadata` towards the client and towards the
   * upstream.
   */
  readonly peerMetadata: PeerMetadataExchange;
  /**
   * The maximum time from the beginning of a request to the end of its response. A route may set another. 0 means no
   * limit.
   */
  readonly maxStreamDurationMs: number;
  /** How requests are traced. Undefined if they are not traced. */
  readonly tracing: RequestTracing | undefined;
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

export interface LocalReplyRule {
  /**
   * Whether the rule matches a reply. `flags` contains the letters of the reply's response flags, separated by commas.
   */
  readonly matches: (reply: { readonly status: number; readonly flags: string }) => boolean;
  /**
   * The status to send instead. Undefined keeps the reply's own status. The fields below change other parts of the
   * reply in the same way.
   */
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
  readonly inMeshOnly: boolean;
  /** The labels that are read and written in addition to the standard ones. */
  readonly labelNames: readonly string[];
}
