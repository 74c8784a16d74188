import { systemClock, systemRandom, transientError, type Clock, type Random } from "../../base/index.ts";
import { CollectorExports } from "../tracing/collector-exports.ts";
import { FilterStatistics } from "./filter-statistics.ts";

/** What filters work with, besides the request. */
export interface FilterServices {
  readonly clock: Clock;
  readonly random: Random;
  readonly statistics: FilterStatistics;
  /** Asks a cluster of this proxy's configuration. */
  readonly callCluster: CallCluster;
  /** Where spans, and logs of services, go. */
  readonly exports: CollectorExports;
}

/** A request of the proxy itself to one of its clusters. */
export interface ClusterRequest {
  readonly cluster: string;
  readonly protocol: "http1" | "http2";
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
}

export interface ClusterAnswer {
  readonly status: number;
  /** Names in lower case, trailers included. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/** Rejects when no answer came: no such cluster, no endpoint, no connection, too late, too long. */
export type CallCluster = (request: ClusterRequest, signal: AbortSignal) => Promise<ClusterAnswer>;

/** For a configuration that is compiled outside of a proxy: it can be checked, and its filters reach no cluster. */
export function standaloneServices(): FilterServices {
  const shared = { clock: systemClock, statistics: new FilterStatistics(), callCluster: () => Promise.reject(transientError("no-clusters", "there are no clusters to ask")) };
  return { ...shared, random: systemRandom, exports: new CollectorExports({ ...shared, node: { id: "", service: "", address: "", zone: "" } }) };
}
