import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import type {
  ConnectionPool,
  ConsistentHash,
  LocalityLoadBalancer,
  OutlierDetection,
  TcpKeepalive,
  TrafficPolicy,
  TrafficPolicySettings,
  Warmup,
  ZoneAwareLoadBalancer,
} from "../../api/istio/index.ts";
import {
  CircuitBreakersSchema,
  Cluster_CommonLbConfigSchema,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  OutlierDetectionSchema,
  PercentSchema,
  UpstreamConnectionOptionsSchema,
  type Cluster,
} from "../../wire/envoy/index.ts";
import type { AppProtocol, MeshSettings } from "../model/facts.ts";
import { subsetOf, type DestinationRuleModel } from "../model/destination-rule-model.ts";
import type { ServiceModel } from "../model/service/service.ts";
import { unlimited } from "./cluster.ts";
import { isHttp2, useDownstreamProtocol, useHttp2, type ClusterDraft } from "./cluster-draft.ts";
import { durationOfMs } from "./envoy-any.ts";

export interface PolicyTarget {
  readonly protocol: AppProtocol;
  readonly preference: ServiceModel["preference"];
  readonly mesh: MeshSettings;
}

/** The policy of one port of a host or subset, in which narrower settings have replaced wider ones. */
export type EffectivePolicy = TrafficPolicySettings & Pick<TrafficPolicy, "retryBudget" | "proxyProtocol" | "tunnel">;

/**
 * The policy of a rule for a port, or for that port of a subset. The settings of a port replace wider ones as a whole,
 * and fields that they lack get defaults. The mesh's settings apply if no rule sets any.
 */
export function effectivePolicy(
  rule: DestinationRuleModel | undefined,
  subset: string | undefined,
  port: number,
  mesh: Pick<MeshSettings, "defaultTrafficPolicy">,
): EffectivePolicy {
  const policy = rulePolicy(rule, subset, port);
  const { connectionPool, outlierDetection } = mesh.defaultTrafficPolicy;
  return {
    ...policy,
    connectionPool: policy.connectionPool ?? connectionPool,
    outlierDetection: policy.outlierDetection ?? outlierDetection,
  };
}

function rulePolicy(rule: DestinationRuleModel | undefined, subset: string | undefined, port: number): EffectivePolicy {
  const base = ofPort(rule?.trafficPolicy, port).policy;
  const own = subsetOf(rule, subset)?.trafficPolicy;
  if (own === undefined) return base;
  const { policy, isOfPort } = ofPort(own, port);
  const narrower = Object.fromEntries(
    Object.entries(policy).filter(([name, value]) => value !== undefined || (isOfPort && portParts.has(name))),
  );
  return { ...base, ...(isOfPort ? noPortParts : {}), ...narrower };
}

const noPortParts = { loadBalancer: undefined, connectionPool: undefined, outlierDetection: undefined, tls: undefined };
const portParts: ReadonlySet<string> = new Set(Object.keys(noPortParts));

function ofPort(
  policy: TrafficPolicy | undefined,
  port: number,
): { readonly policy: EffectivePolicy; readonly isOfPort: boolean } {
  if (policy === undefined) return { policy: {}, isOfPort: false };
  const { portLevelSettings, ...whole } = policy;
  const own = portLevelSettings.find((settings) => settings.port.number === port);
  if (own === undefined) return { policy: whole, isOfPort: false };
  const { port: _, ...settings } = own;
  return { policy: { ...whole, ...noPortParts, ...settings }, isOfPort: true };
}

/**
 * Zone-aware balancing: the proxies themselves balance the load between zones, and priorities keep it in their region.
 */
export interface ZoneAwareChoice {
  readonly zoneAware: ZoneAwareLoadBalancer;
}

export type LocalityChoice = LocalityLoadBalancer | ZoneAwareChoice | "close" | "node" | "off";

/**
 * How locality affects load balancing: the rule's setting, or else the service's preference, or else the mesh config's
 * setting. Within each of them, zone-aware balancing takes precedence. "off" means that locality is ignored.
 */
export function localitySetting(
  { loadBalancer }: EffectivePolicy,
  preference: ServiceModel["preference"],
  mesh: Pick<MeshSettings, "localityLbSetting" | "zoneAwareLbSetting">,
): LocalityChoice {
  const own = loadBalancer?.localityLbSetting;
  const zoneAware = loadBalancer?.zoneAwareLbSetting;
  if (zoneAware !== undefined) return { zoneAware };
  if (own === undefined) {
    if (preference === "close" || preference === "node") return preference;
    if (mesh.zoneAwareLbSetting !== undefined) return { zoneAware: mesh.zoneAwareLbSetting };
  }
  const setting = own ?? mesh.localityLbSetting;
  return setting.enabled === false ? "off" : setting;
}

/** Applies all of a policy except TLS. */
export function applyTrafficPolicy(
  draft: ClusterDraft,
  policy: EffectivePolicy,
  { protocol, preference, mesh }: PolicyTarget,
): void {
  if (wantsHttp2(policy.connectionPool, protocol, mesh)) useHttp2(draft);
  applyConnectionPool(draft, policy.connectionPool, policy.retryBudget, mesh);
  if (policy.outlierDetection !== undefined) {
    // A proxy that also gets endpoints which are not ready must not use those only because few others can serve. So its
    // panic mode is disabled.
    const mayPanic = !sendsUnready({ preference }, policy, mesh);
    applyOutlierDetection(draft.cluster, policy.outlierDetection, mayPanic);
  }
  applyLoadBalancer(draft.cluster, policy, localitySetting(policy, preference, mesh));
}

function wantsHttp2(pool: ConnectionPool | undefined, protocol: AppProtocol, mesh: MeshSettings): boolean {
  if (pool?.http.useClientProtocol === true) return false;
  const wanted = pool?.http.h2UpgradePolicy ?? "DEFAULT";
  if (wanted !== "DEFAULT") return wanted === "UPGRADE";
  return mesh.h2UpgradePolicy === "UPGRADE" && (protocol === "http" || protocol === "http2" || protocol === "grpc");
}

const defaultBudgetPercent = 20;
const defaultRetryConcurrency = 3;

export function applyConnectionPool(
  draft: ClusterDraft,
  pool: ConnectionPool | undefined,
  budget: TrafficPolicy["retryBudget"],
  mesh: MeshSettings,
): void {
  const { cluster } = draft;
  const { tcp, http } = pool ?? { tcp: {}, http: undefined };
  cluster.connectTimeout = create(DurationSchema, durationOfMs(tcp.connectTimeoutMs ?? mesh.connectTimeoutMs));
  cluster.circuitBreakers = create(CircuitBreakersSchema, {
    thresholds: [
      {
        maxConnections: tcp.maxConnections ?? unlimited,
        maxPendingRequests: http?.http1MaxPendingRequests ?? unlimited,
        maxRequests: http?.http2MaxRequests ?? unlimited,
        maxRetries: http?.maxRetries ?? unlimited,
        ...(budget === undefined
          ? {}
          : {
              retryBudget: {
                budgetPercent: { value: budget.percent ?? defaultBudgetPercent },
                minRetryConcurrency: budget.minRetryConcurrency || defaultRetryConcurrency,
                ...(budget.budgetIntervalMs === undefined
                  ? {}
                  : { budgetInterval: durationOfMs(budget.budgetIntervalMs) }),
              },
            }),
      },
    ],
  });
  const keepalive = joined(mesh.tcpKeepalive, tcp.tcpKeepalive);
  if (keepalive !== undefined) applyKeepalive(cluster, keepalive);
  if (pool !== undefined) applyHttpPool(draft, pool);
}

/** The merged settings. Each field comes from the rule, or else from the mesh. */
function joined(mesh: TcpKeepalive | undefined, own: TcpKeepalive | undefined): TcpKeepalive | undefined {
  if (mesh === undefined || own === undefined) return own ?? mesh;
  return {
    probes: own.probes ?? mesh.probes,
    timeMs: own.timeMs ?? mesh.timeMs,
    intervalMs: own.intervalMs ?? mesh.intervalMs,
  };
}

const msPerSecond = 1000;

function applyKeepalive(cluster: Cluster, keepalive: TcpKeepalive): void {
  const seconds = (ms: number): number => Math.round(ms / msPerSecond);
  cluster.upstreamConnectionOptions = create(UpstreamConnectionOptionsSchema, {
    tcpKeepalive: {
      ...(keepalive.probes === undefined ? {} : { keepaliveProbes: keepalive.probes }),
      ...(keepalive.timeMs === undefined ? {} : { keepaliveTime: seconds(keepalive.timeMs) }),
      ...(keepalive.intervalMs === undefined ? {} : { keepaliveInterval: seconds(keepalive.intervalMs) }),
    },
  });
}

function applyHttpPool(draft: ClusterDraft, { tcp, http }: ConnectionPool): void {
  const idleMs = http.idleTimeoutMs ?? tcp.idleTimeoutMs;
  const common = create(HttpProtocolOptionsSchema, {
    commonHttpProtocolOptions: {
      ...(idleMs === undefined ? {} : { idleTimeout: durationOfMs(idleMs) }),
      ...(http.maxRequestsPerConnection === undefined
        ? {}
        : { maxRequestsPerConnection: http.maxRequestsPerConnection }),
      ...(tcp.maxConnectionDurationMs === undefined
        ? {}
        : { maxConnectionDuration: durationOfMs(tcp.maxConnectionDurationMs) }),
    },
  }).commonHttpProtocolOptions;
  const isConfigured =
    idleMs !== undefined || http.maxRequestsPerConnection !== undefined || tcp.maxConnectionDurationMs !== undefined;
  if (isConfigured && common !== undefined) draft.http.commonHttpProtocolOptions = common;
  if (isHttp2(draft)) applyHttp2Pool(draft, http);
  if (http.useClientProtocol) useDownstreamProtocol(draft);
}

function applyHttp2Pool(
  { http }: ClusterDraft,
  { maxConcurrentStreams, http2KeepAlive: keepAlive }: ConnectionPool["http"],
): void {
  const options = create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: {
      case: "explicitHttpConfig",
      value: {
        protocolConfig: {
          case: "http2ProtocolOptions",
          value: {
            ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }),
            ...(keepAlive === undefined
              ? {}
              : {
                  connectionKeepalive: {
                    ...(keepAlive.intervalMs === undefined ? {} : { interval: durationOfMs(keepAlive.intervalMs) }),
                    ...(keepAlive.timeoutMs === undefined ? {} : { timeout: durationOfMs(keepAlive.timeoutMs) }),
                  },
                }),
          },
        },
      },
    },
  });
  http.upstreamProtocolOptions = options.upstreamProtocolOptions;
}

const enforced = 100;

/**
 * Sets outlier detection that ignores success rates. It keeps ejected endpoints out even if most are ejected, unless
 * the policy sets a limit.
 */
function applyOutlierDetection(cluster: Cluster, detection: OutlierDetection, mayPanic: boolean): void {
  const counted = (errors: number | undefined): number => (errors === 0 ? 0 : enforced);
  const {
    consecutive5xxErrors,
    consecutiveGatewayErrors,
    consecutiveLocalOriginFailures,
    splitExternalLocalOriginErrors: split,
  } = detection;
  cluster.outlierDetection = create(OutlierDetectionSchema, {
    enforcingSuccessRate: 0,
    ...(consecutive5xxErrors === undefined
      ? {}
      : { consecutive5xx: consecutive5xxErrors, enforcingConsecutive5xx: counted(consecutive5xxErrors) }),
    ...(consecutiveGatewayErrors === undefined
      ? {}
      : {
          consecutiveGatewayFailure: consecutiveGatewayErrors,
          enforcingConsecutiveGatewayFailure: counted(consecutiveGatewayErrors),
        }),
    ...(detection.intervalMs === undefined ? {} : { interval: durationOfMs(detection.intervalMs) }),
    ...(detection.baseEjectionTimeMs === undefined
      ? {}
      : { baseEjectionTime: durationOfMs(detection.baseEjectionTimeMs) }),
    ...(detection.maxEjectionPercent === undefined ? {} : { maxEjectionPercent: detection.maxEjectionPercent }),
    splitExternalLocalOriginErrors: split,
    ...(split ? { enforcingLocalOriginSuccessRate: 0 } : {}),
    ...(split && consecutiveLocalOriginFailures !== undefined && consecutiveLocalOriginFailures > 0
      ? {
          consecutiveLocalOriginFailure: consecutiveLocalOriginFailures,
          enforcingConsecutiveLocalOriginFailure: enforced,
        }
      : {}),
  });
  const value = mayPanic ? (detection.minHealthPercent ?? 0) : 0;
  commonLbConfig(cluster).healthyPanicThreshold = create(PercentSchema, { value });
}

function commonLbConfig(cluster: Cluster): NonNullable<Cluster["commonLbConfig"]> {
  return (cluster.commonLbConfig ??= create(Cluster_CommonLbConfigSchema, {}));
}

function applyLoadBalancer(cluster: Cluster, policy: EffectivePolicy, locality: LocalityChoice): void {
  const { loadBalancer } = policy;
  applyLocality(cluster, policy, locality);
  if (typeOf(cluster) === Cluster_DiscoveryType.ORIGINAL_DST) {
    cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED;
    return;
  }
  switch (loadBalancer?.simple) {
    case "RANDOM":
      cluster.lbPolicy = Cluster_LbPolicy.RANDOM;
      break;
    case "ROUND_ROBIN":
      cluster.lbPolicy = Cluster_LbPolicy.ROUND_ROBIN;
      if (loadBalancer.warmup !== undefined) cluster.lbConfig = slowStart("roundRobinLbConfig", loadBalancer.warmup);
      break;
    case "PASSTHROUGH":
      cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED;
      cluster.clusterDiscoveryType = { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST };
      delete cluster.loadAssignment;
      delete cluster.edsClusterConfig;
      return;
    default:
      cluster.lbPolicy = Cluster_LbPolicy.LEAST_REQUEST;
      if (loadBalancer?.warmup !== undefined) cluster.lbConfig = slowStart("leastRequestLbConfig", loadBalancer.warmup);
      // An empty configuration marks LEAST_REQUEST as the choice of a DestinationRule. gRPC clients get this policy
      // only with the mark.
      else if (loadBalancer?.simple === "LEAST_REQUEST")
        cluster.lbConfig = clusterWith({ case: "leastRequestLbConfig", value: {} });
  }
  if (loadBalancer?.consistentHash !== undefined) applyConsistentHash(cluster, loadBalancer.consistentHash);
}

export function typeOf(cluster: Cluster): Cluster_DiscoveryType | undefined {
  return cluster.clusterDiscoveryType.case === "type" ? cluster.clusterDiscoveryType.value : undefined;
}

/**
 * Sets how the cluster balances between localities. Weights of localities apply only for failover or a configured
 * distribution, because otherwise they would distort load balancing.
 */
function applyLocality(cluster: Cluster, { outlierDetection }: EffectivePolicy, setting: LocalityChoice): void {
  if (typeof setting === "string") return;
  if ("zoneAware" in setting) {
    const { zoneAware } = setting;
    const off = zoneAware.enabled === false;
    commonLbConfig(cluster).localityConfigSpecifier = create(Cluster_CommonLbConfigSchema, {
      localityConfigSpecifier: {
        case: "zoneAwareLbConfig",
        value: {
          ...(off ? { routingEnabled: { value: 0 } } : {}),
          ...(zoneAware.minClusterSize === undefined ? {} : { minClusterSize: BigInt(zoneAware.minClusterSize) }),
        },
      },
    }).localityConfigSpecifier;
    return;
  }
  const fails = outlierDetection !== undefined && setting.failover.length + setting.failoverPriority.length > 0;
  if (!fails && setting.distribute.length === 0) return;
  commonLbConfig(cluster).localityConfigSpecifier = create(Cluster_CommonLbConfigSchema, {
    localityConfigSpecifier: { case: "localityWeightedLbConfig", value: {} },
  }).localityConfigSpecifier;
}

const defaultAggression = 1;
const defaultMinimumPercent = 10;

function slowStart(kind: "roundRobinLbConfig" | "leastRequestLbConfig", warmup: Warmup): Cluster["lbConfig"] {
  const plain = warmup.aggression === undefined && warmup.minimumPercent === undefined;
  const slowStartConfig = {
    slowStartWindow: durationOfMs(warmup.durationMs),
    ...(plain
      ? {}
      : {
          aggression: { defaultValue: warmup.aggression ?? defaultAggression, runtimeKey: "(" },
          minWeightPercent: { value: warmup.minimumPercent ?? defaultMinimumPercent },
        }),
  };
  return clusterWith({ case: kind, value: { slowStartConfig } });
}

const defaultRingSize = 1024;

function applyConsistentHash(cluster: Cluster, { hashAlgorithm }: ConsistentHash): void {
  if (hashAlgorithm.kind === "maglev") {
    cluster.lbPolicy = Cluster_LbPolicy.MAGLEV;
    if (hashAlgorithm.tableSize !== undefined)
      cluster.lbConfig = clusterWith({ case: "maglevLbConfig", value: { tableSize: BigInt(hashAlgorithm.tableSize) } });
    return;
  }
  cluster.lbPolicy = Cluster_LbPolicy.RING_HASH;
  cluster.lbConfig = clusterWith({
    case: "ringHashLbConfig",
    value: { minimumRingSize: BigInt(hashAlgorithm.minimumRingSize ?? defaultRingSize) },
  });
}

function clusterWith(lbConfig: NonNullable<MessageInitShape<typeof ClusterSchema>["lbConfig"]>): Cluster["lbConfig"] {
  return create(ClusterSchema, { lbConfig }).lbConfig;
}

/**
 * Whether proxies also get those endpoints of a service that are not ready. By default, they do unless the policy lets
 * a proxy use unhealthy endpoints when too few are healthy. As in upstream, a preference for near endpoints always
 * needs them.
 */
export function sendsUnready(
  { preference }: Pick<ServiceModel, "preference">,
  { outlierDetection }: EffectivePolicy,
  { unreadyEndpoints: rule = "automatic" }: Pick<MeshSettings, "unreadyEndpoints">,
): boolean {
  if (rule === "always" || preference === "close" || preference === "node") return true;
  return rule === "automatic" && (outlierDetection?.minHealthPercent ?? 0) === 0;
}
