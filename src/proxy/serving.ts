import type { EndpointAnswer, WorkloadCertificate, XdsClient, XdsSubscription } from "../dataplane/index.ts";
import type { LogLevel } from "../base/index.ts";
import type { BreakerThresholds } from "./upstream/circuit-breaker.ts";
import type { FamilyNames } from "../telemetry/index.ts";

/** The state of the part that serves requests. */
export interface ServingStatus {
  /** What is still missing before it can serve. */
  readonly pending: readonly string[];
  readonly listeners: number;
  readonly connections: number;
  /** The time since a draining listener last accepted a connection. Infinity if none ever has. */
  readonly quietMs: number;
}

/**
 * Serves requests by a given configuration, in this thread or in several. The process around it has the stream to the
 * control plane, the identity and the admin port, and calls these methods.
 */
export interface Serving {
  /** The number of threads. */
  readonly workers: number;
  /**
   * The resource types that it needs, in the order in which a client should subscribe. An update is accepted when all
   * workers have accepted it.
   */
  subscriptions(): readonly XdsSubscription[];
  /** The client whose subscriptions it sets. */
  attach(client: Pick<XdsClient, "setNames">): void;
  start(): void;
  /** Called when the process has a new certificate of its own. */
  certify(certificate: WorkloadCertificate): void;
  setLogLevel(level: LogLevel): void;
  status(): Promise<ServingStatus>;
  /** Sets whether the filters that answer health checks report this proxy as unhealthy. */
  failHealthChecks(fails: boolean): void;
  /** Responses say `connection: close` from now on. With `inboundOnly`, outbound listeners do not change. */
  drain(inboundOnly: boolean): void;
  /** From now on, closes upstream connections on which no request was sent. */
  closeUnused(): void;
  /** Closes the sockets of draining listeners. */
  stopListening(): void;
  closeQuiet(quietMs: number): void;
  closeAll(): void;
  /**
   * Ends for good. Unless `force` is aborted, it first sends the remaining telemetry and ends idle tunnels in an
   * orderly way.
   */
  end(force: AbortSignal): Promise<void>;
  /** Whether it opened the connection from this local port to a port of this process. */
  owns(remotePort: number, localPort: number): boolean | Promise<boolean>;
  /** Answers an admin path about the configuration. `target` includes the query. */
  answer(target: string): EndpointAnswer | Promise<EndpointAnswer>;
  clusters(): Promise<readonly ClusterStatus[]>;
  statistics(): Promise<readonly Statistic[]>;
  /** The metrics of the process in Prometheus' text format: all, or these families. */
  metrics(names?: FamilyNames): Promise<string>;
}

/** An endpoint of a cluster, with its counters. */
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
  /** The name in statistics. */
  readonly statName: string;
  /** The limits of its circuit breaker, by Envoy's names of the priorities. */
  readonly thresholds: Readonly<Record<"default" | "high", BreakerThresholds>>;
  readonly endpoints: readonly EndpointStatus[];
}

/** A statistic under Envoy's name, such as `cluster.<name>.upstream_rq_total`. */
export interface Statistic {
  readonly name: string;
  readonly value: number;
  /** The name of the metric. */
  readonly metric: string;
  readonly type: "counter" | "gauge";
}
