import type { Any } from "@bufbuild/protobuf/wkt";
import {
  silentLogger,
  systemClock,
  systemRandom,
  transientError,
  type Clock,
  type Logger,
  type Random,
} from "../../base/index.ts";
import { CollectorExports } from "../tracing/collector-exports.ts";
import { LuaScripts } from "./lua/index.ts";
import type { CallCluster } from "../terms/call-cluster.ts";
import { FilterStatistics } from "../terms/filter-statistics.ts";
import type { WasmModules } from "./lazy-wasm-filter.ts";
import type { SharedBuckets } from "./tokens.ts";

export interface ClusterHealth {
  readonly total: number;
  readonly usable: number;
}

export interface FilterServices {
  readonly clock: Clock;
  /** The log for the decisions of filters. Absent if nobody reads it. */
  readonly log?: Logger;
  readonly random: Random;
  readonly statistics: FilterStatistics;
  /**
   * The name of the service that this proxy serves, as this proxy reports it to control planes (Envoy's
   * `node.cluster`).
   */
  readonly serviceName: string;
  /**
   * Whether `POST /healthcheck/fail` has made this proxy report itself as unhealthy, so that load balancers send their
   * requests elsewhere.
   */
  readonly failsHealthChecks: () => boolean;
  /** How many endpoints a cluster has, and how many of them may get requests. Undefined if there is no such cluster. */
  readonly clusterHealth: (cluster: string) => ClusterHealth | undefined;
  readonly callCluster: CallCluster;
  /** Returns the host of WebAssembly modules, which the first call loads. */
  readonly modules: () => Promise<WasmModules>;
  readonly exports: CollectorExports;
  /** Token buckets for rate limits that all threads share. Absent if this is the only serving thread. */
  readonly buckets?: SharedBuckets;
  /** The configuration of a filter that extension discovery (ECDS) delivered. Undefined if none has. */
  readonly extensionConfig?: (name: string) => Any | undefined;
  readonly scripts: LuaScripts;
}

/**
 * The services for compiling a configuration outside of a proxy. They suffice to check it, but the compiled filters
 * reach no cluster.
 */
export function standaloneServices(): FilterServices {
  const shared = {
    clock: systemClock,
    statistics: new FilterStatistics(),
    serviceName: "",
    callCluster: () => Promise.reject(transientError("no-cluster", "there are no clusters to ask")),
    modules: () => Promise.reject(transientError("module-failed", "modules cannot run here")),
  };
  return {
    ...shared,
    failsHealthChecks: () => false,
    clusterHealth: () => undefined,
    random: systemRandom,
    scripts: new LuaScripts({ clock: shared.clock, callCluster: shared.callCluster, log: silentLogger }),
    exports: new CollectorExports({ ...shared, node: { id: "", service: "", address: "", zone: "" } }),
  };
}
