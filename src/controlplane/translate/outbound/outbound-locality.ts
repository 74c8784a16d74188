import { istioLabels, type LocalityLoadBalancer } from "../../../api/istio/index.ts";
import type { Labels } from "../../model/facts.ts";
import type { LocalityModel } from "../../model/service/service-endpoint-model.ts";
import { localityGroup, type LocalityGroup } from "../endpoints.ts";
import type { EffectivePolicy, LocalityChoice } from "../traffic-policy.ts";

/** A client's location, on which the choice of endpoints depends. */
export interface ClientPlace {
  readonly locality: LocalityModel;
  readonly node: string;
  readonly network: string;
  readonly clusterId: string;
  readonly labels: Labels;
}

type Failover = Pick<LocalityLoadBalancer, "distribute" | "failover" | "failoverPriority">;

/**
 * Sets the priorities and weights of localities for a client's location. If `setting` is off, the groups stay
 * unchanged.
 */
export function byLocality(
  groups: readonly LocalityGroup[],
  policy: EffectivePolicy,
  setting: LocalityChoice,
  place: ClientPlace,
): readonly LocalityGroup[] {
  if (setting === "off") return groups;
  if (typeof setting === "string") return byLabels(groups, preferenceLabels[setting], place);
  if ("zoneAware" in setting) {
    const { zoneAware } = setting;
    if (zoneAware.enabled === false) return groups;
    const prioritized =
      zoneAware.failoverPriority.length === 0 ? groups : byLabels(groups, zoneAware.failoverPriority, place);
    return renumbered(
      prioritized,
      (group) => group.resource.priority * 3 + regionRank(group, zoneAware.failover, place),
    );
  }
  if (setting.distribute.length > 0) return distributed(groups, setting.distribute, place);
  // Without outlier detection, a proxy would never use the next priority.
  return policy.outlierDetection === undefined ? groups : failedOver(groups, setting, place);
}

export function dependsOnPlace({ outlierDetection }: EffectivePolicy, setting: LocalityChoice): boolean {
  if (typeof setting === "string") return setting !== "off";
  return "zoneAware" in setting || outlierDetection !== undefined || setting.distribute.length > 0;
}

const regionLabel = "topology.kubernetes.io/region";
const zoneLabel = "topology.kubernetes.io/zone";
const clusterLabel = "topology.istio.io/cluster";
const hostLabel = "kubernetes.io/hostname";

const preferenceLabels: Readonly<Record<"close" | "node", readonly string[]>> = {
  close: [istioLabels.network, regionLabel, zoneLabel],
  node: [istioLabels.network, regionLabel, zoneLabel, istioLabels.subzone, hostLabel],
};

function failedOver(groups: readonly LocalityGroup[], setting: Failover, place: ClientPlace): readonly LocalityGroup[] {
  const prioritized =
    setting.failoverPriority.length === 0 ? groups : byLabels(groups, setting.failoverPriority, place);
  if (setting.failoverPriority.length > 0 && setting.failover.length === 0) return prioritized;
  return renumbered(prioritized, (group) => group.resource.priority * 5 + localityRank(group, setting.failover, place));
}

/**
 * How far a locality is from the client: 0 for the same subzone, 1 for the same zone, 2 for the same region, and 3 for
 * any other region. If a failover rule names a region for the client's region, 3 is that region, and 4 every other one.
 */
function localityRank({ endpoints }: LocalityGroup, failover: Failover["failover"], { locality }: ClientPlace): number {
  const there = endpoints[0]?.locality;
  if (there === undefined || there.region !== locality.region) {
    const target = failover.find((rule) => rule.from === locality.region)?.to;
    return target === undefined || there?.region === target ? 3 : 4;
  }
  if (there.zone !== locality.zone) return 2;
  return there.subzone === locality.subzone ? 0 : 1;
}

function regionRank({ endpoints }: LocalityGroup, failover: Failover["failover"], { locality }: ClientPlace): number {
  const region = endpoints[0]?.locality.region;
  if (region === locality.region) return 0;
  return failover.find((rule) => rule.from === locality.region)?.to === region ? 1 : 2;
}

/** Renumbers priorities to start at 0 without gaps. */
function renumbered(
  groups: readonly LocalityGroup[],
  rankOf: (group: LocalityGroup) => number,
): readonly LocalityGroup[] {
  const ranks = groups.map(rankOf);
  const used = [...new Set(ranks)].sort((left, right) => left - right);
  return groups.map((group, index) => ({
    ...group,
    resource: { ...group.resource, priority: used.indexOf(ranks[index] ?? 0) },
  }));
}

/**
 * Sets priorities by labels: the more of the first labels in a row an endpoint shares with the client, the earlier it
 * comes. Endpoints in other networks come last.
 */
function byLabels(
  groups: readonly LocalityGroup[],
  labels: readonly string[],
  place: ClientPlace,
): readonly LocalityGroup[] {
  const wanted = labels.map((label) => {
    const [name = "", value] = label.split("=");
    return [name, value ?? placeLabels(place)[name]] as const;
  });
  const split = groups.flatMap((group) => {
    const ranked = group.endpoints.map((endpoint, index) => ({
      endpoint,
      resource: group.resource.lbEndpoints[index],
      rank: labelRank(endpoint, wanted),
    }));
    const byRank = [...Map.groupBy(ranked, (entry) => entry.rank)].sort(([left], [right]) => left - right);
    return byRank.map(([rank, entries]) => {
      const part = localityGroup(
        entries.map((entry) => entry.endpoint),
        entries.flatMap((entry) => entry.resource ?? []),
      );
      return { ...part, resource: { ...part.resource, priority: rank } };
    });
  });
  return renumbered(split, (group) => group.resource.priority);
}

function labelRank(
  endpoint: LocalityGroup["endpoints"][number],
  wanted: readonly (readonly [string, string | undefined])[],
): number {
  const own = endpointLabels(endpoint);
  let away = 0;
  for (const [index, [name, value]] of wanted.entries()) {
    if ((own[name] ?? "") === (value ?? "")) continue;
    if (index === 0 && name === istioLabels.network) away = wanted.length;
    else return wanted.length - index + away;
  }
  return away;
}

function placeLabels({ labels, locality, node, network, clusterId }: ClientPlace): Labels {
  return {
    ...labels,
    [clusterLabel]: clusterId,
    [regionLabel]: locality.region,
    [zoneLabel]: locality.zone,
    [istioLabels.subzone]: locality.subzone,
    [istioLabels.network]: network,
    [hostLabel]: node,
  };
}

/**
 * The labels by which failover compares an endpoint with the client. If a gateway stands for endpoints of another
 * network, their locality is unknown, so only their network and cluster count.
 */
function endpointLabels({
  isGateway,
  labels,
  locality,
  node,
  network,
  clusterId,
}: LocalityGroup["endpoints"][number]): Labels {
  return isGateway === true
    ? { [istioLabels.network]: network, [clusterLabel]: clusterId }
    : placeLabels({ labels, locality, node, network, clusterId });
}

/**
 * The first rule that matches the client's locality sets the weights. Localities that it does not list get no traffic.
 * They stay without endpoints, so that a cluster with inline endpoints exists even if none is left.
 */
function distributed(
  groups: readonly LocalityGroup[],
  rules: Failover["distribute"],
  { locality }: ClientPlace,
): readonly LocalityGroup[] {
  const rule = rules.find((candidate) => localityMatches(locality, candidate.from));
  if (rule === undefined) return groups;
  const shares = new Map<LocalityGroup, number>();
  for (const [pattern, weight] of Object.entries(rule.to)) {
    const matching = groups.filter(
      (group) => !shares.has(group) && localityMatches(group.endpoints[0]?.locality, pattern),
    );
    const total = matching.reduce((sum, group) => sum + (group.resource.loadBalancingWeight ?? 1), 0);
    for (const group of matching)
      shares.set(group, Math.ceil(((group.resource.loadBalancingWeight ?? 1) * weight) / total));
  }
  return groups.map((group) => {
    const { resource } = group;
    const share = shares.get(group) ?? 0;
    return share === 0
      ? { endpoints: [], resource: { ...resource, lbEndpoints: [] } }
      : { ...group, resource: { ...resource, loadBalancingWeight: share } };
  });
}

/**
 * Whether a locality matches a pattern of the form `region/zone/subzone`. Trailing parts of the pattern may be missing
 * or `*`.
 */
function localityMatches(locality: LocalityModel | undefined, pattern: string): boolean {
  const own = [locality?.region ?? "", locality?.zone ?? "", locality?.subzone ?? ""];
  const parts = pattern.split("/");
  for (const [index, part] of parts.entries()) {
    if (part === "*") return true;
    if (part !== own[index]) return false;
  }
  return true;
}
