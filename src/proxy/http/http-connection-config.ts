import type { HeadLimits } from "../../wire/http1/index.ts";
import type { PathOptions } from "../routing/path.ts";

/** What an HTTP connection manager's configuration says; immutable. */
export interface HttpConnectionConfig {
  readonly statPrefix: string;
  /** The value of `server`. */
  readonly serverName: string;
  readonly serverHeader: "overwrite" | "append-if-absent" | "pass-through";
  /** We are the edge: the peer's address is the client's, and what only the edge may say is set here. */
  readonly useRemoteAddress: boolean;
  readonly trustedHops: number;
  readonly appendForwardedFor: boolean;
  readonly path: PathOptions;
  /** The port is taken from the host before routing and on the way up. */
  readonly stripHostPort: "none" | "any" | "matching";
  /** Protocols (lower case) that a request may upgrade to, unless its route says otherwise. */
  readonly upgrades: ReadonlySet<string>;
  readonly acceptHttp10: boolean;
  /** The host of an HTTP/1.0 request without one. */
  readonly defaultHostForHttp10: string;
  /** `expect: 100-continue` goes to the upstream, and its 100 comes back; otherwise we answer 100 ourselves. */
  readonly forwardContinue: boolean;
  readonly clientCertificate: "sanitize" | "forward";
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
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}
