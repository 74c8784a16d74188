import { isTree } from "../base/index.ts";

/** The statistics that a proxy has: those whose names match one entry. */
export interface StatsInclusion {
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
  /** RE2 expressions for whole names. */
  readonly regexps: readonly string[];
  /** Where the expressions come from, for messages. */
  readonly regexpsFrom: string;
}

export interface InclusionSources {
  /** `proxyStatsMatcher` of the proxy's configuration, unchecked. */
  readonly matcher: unknown;
  /** The pod's annotations. Each of the three for statistics replaces its field of {@link matcher}. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly podIps: readonly string[];
  /** EXIT_ON_ZERO_ACTIVE_CONNECTIONS. Upstream's agent then counts connections by the statistics. */
  readonly exitsWithLastConnection: boolean;
}

/**
 * What upstream's bootstrap always includes. It also includes virtual hosts' routes and Istio's own metrics. Here, no
 * statistic has such a name, and Istio's metrics are always there.
 */
const alwaysPrefixes = ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"] as const;
const alwaysSuffixes = ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"] as const;
const connectionSuffix = "downstream_cx_active";

/** Combines the required statistics with those that the mesh and the pod ask for, as upstream's bootstrap does. */
export function readStatsInclusion(sources: InclusionSources): StatsInclusion {
  const prefixes = asked(sources, "inclusionPrefixes", "sidecar.istio.io/statsInclusionPrefixes");
  const suffixes = asked(sources, "inclusionSuffixes", "sidecar.istio.io/statsInclusionSuffixes");
  const regexps = asked(sources, "inclusionRegexps", "sidecar.istio.io/statsInclusionRegexps");
  return {
    prefixes: [...prefixes.entries, ...alwaysPrefixes],
    suffixes: [...suffixes.entries, ...alwaysSuffixes, ...(sources.exitsWithLastConnection ? [connectionSuffix] : [])],
    regexps: regexps.entries,
    regexpsFrom: regexps.from,
  };
}

/** The non-empty entries of an annotation, or else of a field. `{pod_ip}` stands for each address of the pod. */
function asked(
  { matcher, annotations, podIps }: InclusionSources,
  field: string,
  annotation: string,
): { readonly entries: readonly string[]; readonly from: string } {
  const annotated = annotations[annotation] ?? "";
  const ofField = isTree(matcher) ? matcher[field] : undefined;
  const listed: readonly unknown[] = annotated === "" ? (Array.isArray(ofField) ? ofField : []) : annotated.split(",");
  const entries = listed
    .filter((entry): entry is string => typeof entry === "string" && entry !== "")
    .flatMap((entry) =>
      entry.includes("{pod_ip}") ? podIps.map((address) => entry.replaceAll("{pod_ip}", address)) : [entry],
    );
  return { entries, from: annotated === "" ? `proxyStatsMatcher.${field}` : `annotation ${annotation}` };
}
