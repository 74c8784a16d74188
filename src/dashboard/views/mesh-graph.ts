import { reaches, workloadKey, type RoutePlan, type RouteRule, type RuleDestination } from "./route-rules.ts";
import type { TrafficEdge } from "./traffic.ts";

/** A rule's say about an edge. */
export interface ConfiguredWeight {
  readonly rule: RouteRule;
  /** From 0 to 1. */
  readonly weight: number;
}

export interface RoutedEdge {
  readonly edge: TrafficEdge;
  /** Of the source's requests to the same rule's destinations, or to the same service where no rule holds; undefined when there are none. */
  readonly share: number | undefined;
  /** What rules send there, in their order; empty where none holds. */
  readonly configured: readonly ConfiguredWeight[];
}

export interface MeasuredDestination extends RuleDestination {
  /** Of all requests that took one of the rule's destinations from where the rule holds; undefined when there were none. */
  readonly share: number | undefined;
  readonly requestRate: number;
}

export interface MeasuredRule {
  readonly rule: RouteRule;
  readonly destinations: readonly MeasuredDestination[];
}

export interface MeshGraph {
  readonly edges: readonly RoutedEdge[];
  /** Rules with several destinations. */
  readonly rules: readonly MeasuredRule[];
}

/** Lays what was measured beside what is configured. */
export function meshGraph(traffic: readonly TrafficEdge[], plan: RoutePlan): MeshGraph {
  const { rules } = plan;
  const rulesOf = rulesByDestination(rules);
  const rates = new Map<RuleDestination, number>();
  const edges: RoutedEdge[] = [];
  for (const siblings of Map.groupBy(traffic, ({ source }) => `${workloadKey(source)}\n${source.version}`).values()) {
    // A source's own rates: what it sent by each rule, and to each service where none holds.
    const byRule = new Map<RouteRule, number>();
    const byService = new Map<string, number>();
    const placed = siblings.map((edge) => ({ edge, hits: edge.responses.size === 0 ? [] : hitsOf(edge, rulesOf, plan) }));
    for (const { edge, hits } of placed) {
      for (const { rule, destination } of hits) {
        byRule.set(rule, (byRule.get(rule) ?? 0) + edge.requestRate);
        rates.set(destination, (rates.get(destination) ?? 0) + edge.requestRate);
      }
      byService.set(serviceKey(edge), (byService.get(serviceKey(edge)) ?? 0) + edge.requestRate);
    }
    for (const { edge, hits } of placed) {
      const all = hits.length === 0 ? (byService.get(serviceKey(edge)) ?? 0) : Math.max(...hits.map(({ rule }) => byRule.get(rule) ?? 0));
      const share = all > 0 && edge.responses.size > 0 ? edge.requestRate / all : undefined;
      edges.push({ edge, share, configured: hits.map(({ rule, destination }) => ({ rule, weight: destination.weight })) });
    }
  }
  return { edges, rules: rules.filter(({ destinations }) => destinations.length > 1).map((rule) => measuredRule(rule, rates)) };
}

function serviceKey({ service }: TrafficEdge): string {
  return `${service.namespace}/${service.name}`;
}

/** By the name of a destination's service, so that an edge is held against few rules. */
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

function hitsOf(edge: TrafficEdge, rulesOf: ReadonlyMap<string, readonly RouteRule[]>, plan: RoutePlan): { readonly rule: RouteRule; readonly destination: RuleDestination }[] {
  const candidates = new Set([...(rulesOf.get(edge.service.name) ?? []), ...(rulesOf.get(edge.service.host) ?? [])]);
  return [...candidates].flatMap((rule) => {
    if (!rule.appliesTo(edge.source)) return [];
    const destination = rule.destinations.find((one) => reaches(one, edge, plan));
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
