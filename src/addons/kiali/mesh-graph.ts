import { reaches, routeRules, workloadLabels, type RouteObjects, type RouteRule, type RuleDestination } from "./route-rules.ts";
import type { TrafficEdge } from "./traffic.ts";

/** A rule's say about an edge. */
export interface ConfiguredWeight {
  readonly rule: RouteRule;
  readonly weight: number;
}

export interface GraphEdge extends TrafficEdge {
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
  readonly edges: readonly GraphEdge[];
  /** Rules with several destinations. */
  readonly rules: readonly MeasuredRule[];
}

/** Lays what was measured beside what is configured. */
export function meshGraph(traffic: readonly TrafficEdge[], objects: RouteObjects): MeshGraph {
  const rules = routeRules(objects);
  const labels = workloadLabels(objects.pods);
  const destinationOf = (rule: RouteRule, edge: TrafficEdge): RuleDestination | undefined => (rule.appliesTo(edge.source) ? rule.destinations.find((destination) => reaches(destination, edge, labels)) : undefined);
  const edges = traffic.map((edge): GraphEdge => {
    const configured = edge.responses.size === 0 ? [] : configuredOf(edge, rules, destinationOf);
    const isSibling = (other: TrafficEdge): boolean =>
      configured.length > 0 ? configured.some(({ rule }) => destinationOf(rule, other) !== undefined) : other.service.name === edge.service.name && other.service.namespace === edge.service.namespace;
    const all = traffic.filter((other) => sameSource(other, edge) && isSibling(other)).reduce((sum, { requestRate }) => sum + requestRate, 0);
    return { ...edge, configured, share: all > 0 && edge.responses.size > 0 ? edge.requestRate / all : undefined };
  });
  return { edges, rules: rules.filter(({ destinations }) => destinations.length > 1).map((rule) => measuredRule(rule, traffic, destinationOf)) };
}

type DestinationOf = (rule: RouteRule, edge: TrafficEdge) => RuleDestination | undefined;

function configuredOf(edge: TrafficEdge, rules: readonly RouteRule[], destinationOf: DestinationOf): ConfiguredWeight[] {
  return rules.flatMap((rule) => {
    const destination = destinationOf(rule, edge);
    return destination === undefined ? [] : [{ rule, weight: destination.weight }];
  });
}

function sameSource(a: TrafficEdge, b: TrafficEdge): boolean {
  return a.source.namespace === b.source.namespace && a.source.workload === b.source.workload && a.source.version === b.source.version;
}

function measuredRule(rule: RouteRule, traffic: readonly TrafficEdge[], destinationOf: DestinationOf): MeasuredRule {
  const rates = new Map<RuleDestination, number>();
  let sum = 0;
  for (const edge of traffic) {
    const destination = destinationOf(rule, edge);
    if (destination === undefined) continue;
    rates.set(destination, (rates.get(destination) ?? 0) + edge.requestRate);
    sum += edge.requestRate;
  }
  const destinations = rule.destinations.map((destination): MeasuredDestination => {
    const requestRate = rates.get(destination) ?? 0;
    return { ...destination, requestRate, share: sum > 0 ? requestRate / sum : undefined };
  });
  return { rule, destinations };
}
