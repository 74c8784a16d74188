import type { EndpointAnswer, WorkloadCertificate, XdsClient, XdsSubscription } from "../dataplane/index.ts";
import type { LogLevel } from "../base/index.ts";
import type { ClusterStatus } from "./observe/cluster-status.ts";
import type { Statistic } from "./observe/proxy-stats.ts";

/** How it stands with what serves requests. */
export interface ServingStatus {
  /** What has not come yet of what is needed to serve. */
  readonly pending: readonly string[];
  readonly listeners: number;
  readonly connections: number;
  /** For how long no listener that drains has accepted a connection; Infinity when none ever has. */
  readonly quietMs: number;
}

/**
 * What serves requests, by the configuration that it is given: in this thread, or in several. The process around it has one stream to
 * the control plane, one identity and one admin port, and asks here.
 */
export interface Serving {
  /** Threads. */
  readonly workers: number;
  /** What of the configuration it wants, in the order in which a client should ask. An update is taken once all of it has taken it. */
  subscriptions(): readonly XdsSubscription[];
  /** The client whose names it sets. */
  attach(client: Pick<XdsClient, "setNames">): void;
  start(): void;
  /** The process has another certificate of its own. */
  certify(certificate: WorkloadCertificate): void;
  setLogLevel(level: LogLevel): void;
  status(): Promise<ServingStatus>;
  /** Answers say `connection: close` from now on. With `inboundOnly`, for what leaves the pod all stays as it is. */
  drain(inboundOnly: boolean): void;
  /** From now on, upstream connections on which no request has come yet are closed. */
  closeUnused(): void;
  /** Those listeners that drain. */
  stopListening(): void;
  closeQuiet(quietMs: number): void;
  closeAll(): void;
  /** Ends for good: what was told of requests is on its way, and idle tunnels end in order, unless `force` is aborted before. */
  end(force: AbortSignal): Promise<void>;
  /** Whether it opened the connection that came to a port of this process from this port. */
  owns(remotePort: number, localPort: number): boolean | Promise<boolean>;
  /** An admin path about the configuration, with its query. */
  answer(target: string): EndpointAnswer | Promise<EndpointAnswer>;
  clusters(): Promise<readonly ClusterStatus[]>;
  statistics(): Promise<readonly Statistic[]>;
  /** All metrics of the process, in Prometheus' text format. */
  metrics(): Promise<string>;
}
