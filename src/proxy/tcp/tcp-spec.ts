import type { AccessLogSpec } from "../record/access-log-spec.ts";
import type { StatsRules } from "../record/stats-rules.ts";
import type { HttpTunnelSpec } from "./http-tunnel.ts";

export interface TcpSpec {
  readonly statPrefix: string;
  readonly clusters: readonly { readonly cluster: string; readonly weight: number }[];
  readonly totalWeight: number;
  /** The maximum time without a byte in either direction. 0 means no limit. */
  readonly idleTimeoutMs: number;
  /** 0 means no limit. */
  readonly maxDurationMs: number;
  readonly connectAttempts: number;
  /** Whether all connections from one address go to the same endpoint, if the cluster chooses by hash. */
  readonly hashesSource: boolean;
  readonly accessLogs: readonly AccessLogSpec[];
  readonly stats: StatsRules | undefined;
  /** The labels, in addition to the standard ones, that a client and this proxy tell each other. */
  readonly peerLabelNames: readonly string[];
  /** Set if the cluster's endpoints are HTTP proxies, which must open a tunnel. */
  readonly tunnel: HttpTunnelSpec | undefined;
}
