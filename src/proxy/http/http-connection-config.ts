import type { HeadLimits } from "../../wire/http1/index.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import type { PathOptions } from "../routing/path.ts";
import type { HeaderMutation } from "../routing/header-mutation.ts";
import type { RequestTracing } from "../tracing/request-tracing.ts";

/** The configuration of an HTTP connection manager. Immutable. */
export interface HttpConnectionConfig {
  readonly statPrefix: string;
  /** The client's protocol. `auto` means the protocol that TLS negotiated or the first bytes show. */
  readonly codec: "auto" | "http1" | "http2";
  /** HTTP/2 towards clients. An interval of 0 disables keepalive pings. */
  readonly http2: {
    readonly maxConcurrentStreams: number;
    readonly keepaliveIntervalMs: number;
    readonly keepaliveTimeoutMs: number;
  };
  /** The value of the header `server`. */
  readonly serverName: string;
  readonly serverHeader: "overwrite" | "append-if-absent" | "pass-through";
  /** Whether the proxy omits the `x-envoy-` headers that describe its work to clients and upstreams. */
  readonly hidesEnvoyHeaders: boolean;
  /**
   * Whether this proxy is the edge of the mesh. The peer's address is then the client's, and the proxy sets the headers
   * that an edge sets.
   */
  readonly useRemoteAddress: boolean;
  /** Addresses of clients whose headers about themselves are trusted. None unless the listener names some. */
  readonly internalAddresses: readonly ((address: string) => boolean)[];
  readonly trustedHops: number;
  readonly appendForwardedFor: boolean;
  /** Whether requests carry the port that the client used. */
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
  /** The host of an HTTP/1.0 request without one. */
  readonly defaultHostForHttp10: string;
  /**
   * If true, `expect: 100-continue` goes to the upstream, whose 100 is forwarded. Otherwise the proxy responds with
   * 100.
   */
  readonly forwardContinue: boolean;
  /**
   * How `x-forwarded-client-cert` is treated. All modes except `sanitize` and `always-forward` need a verified client
   * certificate; without one, the header is removed. `forward` keeps the header, `append` adds an element for the
   * client's certificate, `set` replaces the header by that element.
   */
  readonly clientCertificate: "sanitize" | "forward" | "append" | "set" | "always-forward";
  /** The parts of an element other than `By` and `Hash`, in this order. */
  readonly clientCertificateFields: readonly ("Cert" | "Chain" | "Subject" | "URI" | "DNS")[];
  /**
   * Whether HTTP/1.1 trailers pass, in both directions. If false, the proxy drops them, as it drops chunk extensions.
   * HTTP/2 trailers always pass.
   */
  readonly http1Trailers: boolean;
  readonly generateRequestId: boolean;
  readonly preserveExternalRequestId: boolean;
  readonly requestIdInResponse: boolean;
  /** Closes a connection without an open request after this time. 0 means no limit, here and below. */
  readonly idleTimeoutMs: number;
  /** After this time, a connection takes no more requests and closes after its last one. */
  readonly maxConnectionMs: number;
  /** After this many requests, a connection takes no more requests and closes after its last one. */
  readonly maxRequestsPerConnection: number;
  /** The maximum time without progress during a request. */
  readonly streamIdleTimeoutMs: number;
  /** The maximum time from a request's first byte until all of it has arrived. */
  readonly requestTimeoutMs: number;
  /** The maximum time from a request's first byte until its whole head has arrived. */
  readonly headTimeoutMs: number;
  readonly headLimits: HeadLimits;
  /** The filters that run between routing and the upstream, in this order. */
  readonly filters: readonly HttpFilter[];
  /** Whether all filters only act on routes that configure them. */
  readonly filtersIdle: boolean;
  /** Changes the proxy's own responses. The first rule that matches applies. */
  readonly localReplies: readonly LocalReplyRule[];
  /**
   * Whether the proxy reads (and removes) or writes `x-envoy-peer-metadata` towards the client and towards the
   * upstream.
   */
  readonly peerMetadata: PeerMetadataExchange;
  /** The maximum duration of a request, unless its route sets another. 0 means no limit. */
  readonly maxStreamDurationMs: number;
  /** How requests are traced. Undefined if they are not traced. */
  readonly tracing: RequestTracing | undefined;
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

export interface LocalReplyRule {
  /** Whether the rule matches a reply. `flags` has the letters of the reply's flags, separated by commas. */
  readonly matches: (reply: { readonly status: number; readonly flags: string }) => boolean;
  /** The status to send instead. Undefined keeps the reply's own status. The fields below work in the same way. */
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
  /** Destinations outside of the mesh get no metadata. */
  readonly inMeshOnly: boolean;
  /** The further labels that are read and written. */
  readonly labelNames: readonly string[];
}
