import { isTree } from "../base/index.ts";

/** Which statistics a proxy keeps: those whose names match one of the entries. */
export interface StatsInclusion {
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
  /** RE2 expressions, each of which must match a whole name. */
  readonly regexps: readonly string[];
  /** Where the expressions were configured, for messages. */
  readonly regexpsFrom: string;
}

export interface InclusionSources {
  /** The field `proxyStatsMatcher` of the proxy's configuration. Its value is unchecked. */
  readonly matcher: unknown;
  /** The pod's annotations. There are three for statistics, each of which replaces its field of {@link matcher}. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly podIps: readonly string[];
  /**
   * Whether EXIT_ON_ZERO_ACTIVE_CONNECTIONS is on. Upstream's agent then needs the statistics that count connections.
   */
  readonly exitsWithLastConnection: boolean;
}

/**
 * The prefixes that upstream's bootstrap always includes. It also includes two that are missing here: routes of virtual
 * hosts, which have no statistics in this proxy, and Istio's own metrics, which this proxy always has.
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

/**
 * The entries of an annotation, or else of a field, without empty ones. `{pod_ip}` stands for each address of the pod.
 */
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
