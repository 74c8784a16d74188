/** Views of the mesh: objects and traffic in, what a page shows out. Pure; the reader brings both. */
export { configMessagesOf } from "./analysis.ts";
export { noMessages, type ConfigMessages } from "./config-messages.ts";
export { configsView, configView, findConfig } from "./configs.ts";
export { addDurations, noDurations, quantileMs, type DurationCounts } from "./duration-counts.ts";
export { graphView } from "./graph.ts";
export { makeInventory, podWorkload as podWorkloadKey, type Inventory } from "./inventory.ts";
export { ladderView } from "./ladder.ts";
export { meshGraph, type MeasuredDestination, type MeasuredRule, type MeshGraph, type RoutedEdge } from "./mesh-graph.ts";
export { noObjects, type MeshObjects } from "./mesh-objects.ts";
export { comparedSides, parseBackend, workloadsOf } from "./moved-workloads.ts";
export { overviewView } from "./overview.ts";
export { findRollout, rolloutView, type RolloutParameters } from "./rollout.ts";
export { rolloutsView, type Rollout } from "./rollouts.ts";
export { routePlan, type RouteRule } from "./route-rules.ts";
export { serviceView, servicesView } from "./services.ts";
export { combineTraffic, mutualTlsShare, sumTraffic, trafficLabels, type CountedTraffic, type TrafficEdge, type TrafficLabels, type WorkloadEnd } from "./traffic.ts";
export { isVisible, noPilots, type MeasuredTraffic, type PilotReports, type ViewInput, type VisibleNamespaces } from "./view-input.ts";
export { workloadsView, workloadView } from "./workloads.ts";
