import {
  Cluster_CommonLbConfigSchema,
  Cluster_LbPolicy,
  Cluster_LeastRequestLbConfigSchema,
  Cluster_RingHashLbConfig_HashFunction,
  Cluster_RingHashLbConfigSchema,
  type Cluster,
  type Cluster_CommonLbConfig,
  type Cluster_SlowStartConfig,
} from "../../../wire/envoy/index.ts";
import type { ClusterConfig } from "../../upstream/cluster.ts";
import { defaultBalancing, type BalancingOptions, type LoadBalancing } from "../../upstream/balancing.ts";
import { preferableStatuses, type EndpointStatus } from "../../upstream/preferred-endpoint.ts";
import type { SlowStart } from "../../upstream/slow-start.ts";
import type { ZoneAwareRule } from "../../upstream/zone-aware.ts";
import { endpointStatuses } from "./endpoint-config.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";

const policies: Readonly<Record<number, LoadBalancing>> = {
  [Cluster_LbPolicy.ROUND_ROBIN]: "round-robin",
  [Cluster_LbPolicy.LEAST_REQUEST]: "least-request",
  [Cluster_LbPolicy.RANDOM]: "random",
  [Cluster_LbPolicy.RING_HASH]: "ring-hash",
  [Cluster_LbPolicy.MAGLEV]: "maglev",
  // With this policy, the cluster itself chooses the endpoint, so the value here has no effect.
  [Cluster_LbPolicy.CLUSTER_PROVIDED]: "round-robin",
};

/** Envoy's panic threshold where a cluster states none. */
const defaultPanicPercent = 50;
const maxTableSize = 5_000_011;

export function compileLoadBalancing(
  message: Cluster,
  where: string,
  notes: ConfigNotes,
): Pick<
  ClusterConfig,
  | "loadBalancing"
  | "balancing"
  | "panicThreshold"
  | "localityWeighted"
  | "zoneAware"
  | "slowStart"
  | "preferableStatuses"
> {
  const loadBalancing = policies[message.lbPolicy];
  if (loadBalancing === undefined)
    throw unsupported(where, `lbPolicy ${Cluster_LbPolicy[message.lbPolicy] ?? message.lbPolicy}`);
  const common = message.commonLbConfig;
  if (common !== undefined) {
    checkFields(Cluster_CommonLbConfigSchema, common, `${where}: commonLbConfig`, notes, {
      used: [
        "healthyPanicThreshold",
        "localityWeightedLbConfig",
        "zoneAwareLbConfig",
        "consistentHashingLbConfig",
        "overrideHostStatus",
      ],
      harmless: ["updateMergeWindow", "ignoreNewHostsUntilFirstHc", "closeConnectionsOnHostSetChange"],
    });
    if ((common.consistentHashingLbConfig?.hashBalanceFactor ?? 0) > 0)
      throw unsupported(where, "commonLbConfig.consistentHashingLbConfig.hashBalanceFactor");
  }
  return {
    loadBalancing,
    balancing: balancingOf(message, where, notes),
    panicThreshold: (common?.healthyPanicThreshold?.value ?? defaultPanicPercent) / 100,
    localityWeighted: common?.localityConfigSpecifier.case === "localityWeightedLbConfig",
    zoneAware: zoneAwareOf(common, loadBalancing),
    slowStart: slowStartOf(message, where),
    preferableStatuses: preferableOf(common),
  };
}

function preferableOf(common: Cluster_CommonLbConfig | undefined): ReadonlySet<EndpointStatus> {
  const stated = common?.overrideHostStatus?.statuses;
  return stated === undefined
    ? preferableStatuses
    : new Set(stated.flatMap((status) => endpointStatuses[status] ?? []));
}

/** Envoy's minimum number of endpoints for routing by zone, where a cluster states none. */
const defaultMinClusterSize = 6;

/**
 * Compiles the routing by zone. As in Envoy, a cluster without a setting is routed by zone too, once the proxy knows
 * the endpoints of its own workload. A hash policy is never routed by zone, because the hash of the request alone
 * chooses the endpoint.
 */
function zoneAwareOf(common: Cluster_CommonLbConfig | undefined, policy: LoadBalancing): ZoneAwareRule | undefined {
  const specific = common?.localityConfigSpecifier;
  if (specific?.case === "localityWeightedLbConfig" || policy === "ring-hash" || policy === "maglev") return undefined;
  const stated = specific?.case === "zoneAwareLbConfig" ? specific.value : undefined;
  return {
    // Envoy rounds the percentage to a whole number.
    routed: Math.round(stated?.routingEnabled?.value ?? 100) / 100,
    minClusterSize: Number(stated?.minClusterSize ?? defaultMinClusterSize),
    failsOnPanic: stated?.failTrafficOnPanic ?? false,
  };
}

function balancingOf(message: Cluster, where: string, notes: ConfigNotes): BalancingOptions {
  const hashesHostnames = message.commonLbConfig?.consistentHashingLbConfig?.useHostnameForHashing ?? false;
  const base = { ...defaultBalancing, hashesHostnames };
  const specific = message.lbConfig;
  switch (specific.case) {
    case "leastRequestLbConfig":
      checkFields(Cluster_LeastRequestLbConfigSchema, specific.value, `${where}: leastRequestLbConfig`, notes, {
        used: ["choiceCount", "activeRequestBias", "slowStartConfig"],
      });
      return {
        ...base,
        choiceCount: Math.max(2, specific.value.choiceCount ?? base.choiceCount),
        activeRequestBias: specific.value.activeRequestBias?.defaultValue ?? base.activeRequestBias,
      };
    case "ringHashLbConfig": {
      checkFields(Cluster_RingHashLbConfigSchema, specific.value, `${where}: ringHashLbConfig`, notes, {
        used: ["minimumRingSize", "maximumRingSize", "hashFunction"],
      });
      if (specific.value.hashFunction === Cluster_RingHashLbConfig_HashFunction.MURMUR_HASH_2)
        notes.tell(`${where}: this proxy places endpoints with its own hash function and ignores hashFunction`);
      const minRingSize = Number(specific.value.minimumRingSize ?? base.minRingSize);
      const maxRingSize = Math.min(Number(specific.value.maximumRingSize ?? base.maxRingSize), base.maxRingSize);
      if (minRingSize > maxRingSize)
        throw invalid(
          where,
          `ringHashLbConfig: minimumRingSize ${minRingSize} must be at most maximumRingSize ${maxRingSize}`,
        );
      return { ...base, minRingSize: Math.max(1, minRingSize), maxRingSize };
    }
    case "maglevLbConfig": {
      const tableSize = Number(specific.value.tableSize ?? base.tableSize);
      if (!isPrime(tableSize) || tableSize > maxTableSize)
        throw invalid(
          where,
          `maglevLbConfig.tableSize must be a prime number of at most ${maxTableSize}, got ${tableSize}`,
        );
      return { ...base, tableSize };
    }
    default:
      return base;
  }
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor += 1) if (number % divisor === 0) return false;
  return true;
}

const defaultMinPercent = 10;

function slowStartOf(message: Cluster, where: string): SlowStart | undefined {
  const specific = message.lbConfig;
  const config: Cluster_SlowStartConfig | undefined =
    specific.case === "leastRequestLbConfig" || specific.case === "roundRobinLbConfig"
      ? specific.value.slowStartConfig
      : undefined;
  const windowMs = durationOr(config?.slowStartWindow, 0);
  if (config === undefined || windowMs === 0) return undefined;
  const aggression = config.aggression?.defaultValue ?? 1;
  if (aggression <= 0) throw invalid(where, `slowStartConfig.aggression must be above 0, got ${aggression}`);
  return { windowMs, aggression, minFraction: (config.minWeightPercent?.value ?? defaultMinPercent) / 100 };
}
