/** Pure functions that turn objects and traffic, which the reader supplies, into the views of a page. */
export { configMessagesOf } from "./analysis.ts";
export { noMessages, type ConfigMessages } from "./config-messages.ts";
export { configsView, configView, findConfig } from "./configs.ts";
export { noDurations, quantileMs, type DurationCounts } from "./duration-counts.ts";
export { graphView } from "./graph.ts";
export { makeInventory, podWorkload as podWorkloadKey, type Inventory } from "./inventory.ts";
export { ladderView } from "./ladder.ts";
export { withoutKinds, type MeshObjects } from "./mesh-objects.ts";
export { parseBackend, workloadsOf } from "./moved-workloads.ts";
export { overviewView } from "./overview.ts";
export { findRollout, rolloutView } from "./rollout.ts";
export { rolloutsView } from "./rollouts.ts";
export { serviceView, servicesView } from "./services.ts";
export {
  connectionLabels,
  responseLabels,
  isOfProbes,
  combineTraffic,
  mutualTlsShare,
  sumTraffic,
  trafficLabels,
  type CountedTraffic,
  type TrafficEdge,
  type TrafficLabels,
} from "./traffic.ts";
export {
  isVisible,
  noPilots,
  type MeasuredTraffic,
  type PilotReports,
  type ViewInput,
  type VisibleNamespaces,
} from "./view-input.ts";
export { visibleMessages } from "./visible-messages.ts";
export { workloadsView, workloadView } from "./workloads.ts";
