import { reaches, takes, workloadKey, type RoutePlan, type RouteRule, type RuleDestination } from "./route-rules.ts";
import type { TrafficEdge } from "./traffic.ts";

export interface ConfiguredWeight {
  readonly rule: RouteRule;
  /** From 0 to 1. */
  readonly weight: number;
}

export interface RoutedEdge {
  readonly edge: TrafficEdge;
  /**
   * Among the source's requests or connections to all destinations of the same rule, the edge's share. If no rule
   * applies, its share among those to the same service. Undefined without traffic.
   */
  readonly share: number | undefined;
  /** The weights in the rules that apply to the edge, in the order of the rules. */
  readonly configured: readonly ConfiguredWeight[];
}

export interface MeasuredDestination extends RuleDestination {
  /**
   * This destination's share of the requests or connections to all destinations of the rule, from all sources to which
   * the rule applies.
   */
  readonly share: number | undefined;
  /** Of requests, or of connections if the rule divides connections. */
  readonly requestRate: number;
}

export interface MeasuredRule {
  readonly rule: RouteRule;
  readonly destinations: readonly MeasuredDestination[];
}

export interface MeshGraph {
  readonly edges: readonly RoutedEdge[];
  /** Only rules with several destinations. */
  readonly rules: readonly MeasuredRule[];
}

export function meshGraph(traffic: readonly TrafficEdge[], plan: RoutePlan): MeshGraph {
  const { rules } = plan;
  const rulesOf = rulesByDestination(rules);
  const rates = new Map<RuleDestination, number>();
  const edges: RoutedEdge[] = [];
  for (const siblings of Map.groupBy(traffic, ({ source }) => `${workloadKey(source)}\n${source.version}`).values()) {
    // The source's rate for each rule, and for each service to which no rule applies.
    const byRule = new Map<RouteRule, number>();
    const byService = new Map<string, number>();
    const placed = siblings.map((edge) => ({ edge, hits: hitsOf(edge, rulesOf, plan), rate: dividedRate(edge) }));
    for (const { edge, hits, rate } of placed) {
      for (const { rule, destination } of hits) {
        byRule.set(rule, (byRule.get(rule) ?? 0) + rate);
        rates.set(destination, (rates.get(destination) ?? 0) + rate);
      }
      byService.set(serviceKey(edge), (byService.get(serviceKey(edge)) ?? 0) + rate);
    }
    for (const { edge, hits, rate } of placed) {
      const all =
        hits.length === 0
          ? (byService.get(serviceKey(edge)) ?? 0)
          : Math.max(...hits.map(({ rule }) => byRule.get(rule) ?? 0));
      const share = all > 0 ? rate / all : undefined;
      edges.push({
        edge,
        share,
        configured: hits.map(({ rule, destination }) => ({ rule, weight: destination.weight })),
      });
    }
  }
  return {
    edges,
    rules: rules.filter(({ destinations }) => destinations.length > 1).map((rule) => measuredRule(rule, rates)),
  };
}

/** Requests to a service and plain connections to it are different groups. */
function serviceKey({ service, responses }: TrafficEdge): string {
  return `${responses.size === 0 ? "connections" : "requests"} ${service.namespace}/${service.name}`;
}

/** The rate that a rule divides: of requests, or of opened connections. */
function dividedRate({ responses, requestRate, openedRate }: TrafficEdge): number {
  return responses.size === 0 ? openedRate : requestRate;
}

/** The rules by the service names of their destinations, so that each edge is compared with few of them. */
function rulesByDestination(rules: readonly RouteRule[]): ReadonlyMap<string, readonly RouteRule[]> {
  const found = new Map<string, RouteRule[]>();
  for (const rule of rules) {
    for (const name of new Set(rule.destinations.map(({ service }) => service))) {
      const known = found.get(name);
      if (known === undefined) found.set(name, [rule]);
      else known.push(rule);
    }
  }
  return found;
}

function hitsOf(
  edge: TrafficEdge,
  rulesOf: ReadonlyMap<string, readonly RouteRule[]>,
  plan: RoutePlan,
): { readonly rule: RouteRule; readonly destination: RuleDestination }[] {
  const candidates = new Set([...(rulesOf.get(edge.service.name) ?? []), ...(rulesOf.get(edge.service.host) ?? [])]);
  return [...candidates].flatMap((rule) => {
    if (!takes(rule, edge) || !rule.appliesTo(edge.source)) return [];
    const destination = rule.destinations.find((candidate) => reaches(candidate, edge, plan));
    return destination === undefined ? [] : [{ rule, destination }];
  });
}

function measuredRule(rule: RouteRule, rates: ReadonlyMap<RuleDestination, number>): MeasuredRule {
  const sum = rule.destinations.reduce((total, destination) => total + (rates.get(destination) ?? 0), 0);
  const destinations = rule.destinations.map((destination): MeasuredDestination => {
    const requestRate = rates.get(destination) ?? 0;
    return { ...destination, requestRate, share: sum > 0 ? requestRate / sum : undefined };
  });
  return { rule, destinations };
}
