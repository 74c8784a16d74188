import type { EndpointAnswer, WorkloadCertificate, XdsClient, XdsSubscription } from "../dataplane/index.ts";
import type { LogLevel } from "../base/index.ts";
import type { BreakerThresholds } from "./upstream/circuit-breaker.ts";
import type { FamilyNames } from "../telemetry/index.ts";

export interface ServingStatus {
  /** The names of what is still missing before this part can serve. */
  readonly pending: readonly string[];
  readonly listeners: number;
  readonly connections: number;
  /** The time since a draining listener last accepted a connection, in milliseconds. Infinity if none ever has. */
  readonly quietMs: number;
}

/**
 * Serves requests with the configuration that it is given, in this thread or in several. The process around it owns the
 * stream to the control plane, the identity and the admin port, and calls these methods.
 */
export interface Serving {
  readonly workers: number;
  /**
   * The resource types to subscribe to, in the order in which the client should. An update is accepted when all workers
   * have accepted it.
   */
  subscriptions(): readonly XdsSubscription[];
  /** Sets the client that gets the names to which this part subscribes. */
  attach(client: Pick<XdsClient, "setNames">): void;
  start(): void;
  certify(certificate: WorkloadCertificate): void;
  setLogLevel(level: LogLevel): void;
  status(): Promise<ServingStatus>;
  /** Sets whether the filters that answer health checks report this proxy as unhealthy. */
  failHealthChecks(fails: boolean): void;
  /** Makes responses say `connection: close` from now on. With `inboundOnly`, outbound listeners do not change. */
  drain(inboundOnly: boolean): void;
  /**
   * From now on, closes upstream connections that have carried no request, because a server that shuts down waits for
   * them.
   */
  closeUnused(): void;
  /** Closes the sockets of draining listeners. */
  stopListening(): void;
  closeQuiet(quietMs: number): void;
  closeAll(): void;
  /**
   * Ends for good. It first sends the remaining telemetry, and waits for a limited time until tunnels have ended with
   * GOAWAY, or until `force` is aborted.
   */
  end(force: AbortSignal): Promise<void>;
  /**
   * Whether this proxy opened the connection between these two ports, from `remotePort` to `localPort` of this process.
   */
  owns(remotePort: number, localPort: number): boolean | Promise<boolean>;
  /** Answers an admin path about the configuration. `target` includes the query. */
  answer(target: string): EndpointAnswer | Promise<EndpointAnswer>;
  clusters(): Promise<readonly ClusterStatus[]>;
  statistics(): Promise<readonly Statistic[]>;
  /** The metrics of the process in Prometheus' text format. With `names`, only these metrics. */
  metrics(names?: FamilyNames): Promise<string>;
}

export interface EndpointStatus {
  readonly name: string;
  readonly address: unknown;
  readonly hostname: string | undefined;
  readonly weight: number;
  readonly priority: number;
  readonly healthy: boolean;
  readonly ejected: boolean;
  readonly counts: EndpointCounts;
}

interface EndpointCounts {
  readonly cx_active: number;
  readonly cx_connect_fail: number;
  readonly cx_total: number;
  readonly rq_active: number;
  readonly rq_error: number;
  readonly rq_success: number;
  readonly rq_total: number;
}

/** A cluster in the form of `/clusters`. */
export interface ClusterStatus {
  readonly name: string;
  readonly statName: string;
  /** The limits of its circuit breaker, by the names that Envoy gives the priorities. */
  readonly thresholds: Readonly<Record<"default" | "high", BreakerThresholds>>;
  readonly endpoints: readonly EndpointStatus[];
}

/** A statistic under Envoy's name, such as `cluster.<name>.upstream_rq_total`. */
export interface Statistic {
  readonly name: string;
  readonly value: number;
  readonly metric: string;
  readonly type: "counter" | "gauge";
}
