// The contract between the dashboard's server and its page: topics, views and requests.
export { type RolloutAction, type RolloutActionOffer, rolloutActions } from "../rollout-action.ts";
export type { ActionRequest, AuditRecord } from "./actions.ts";
export type { ConfigHead, ConfigMessage, ConfigRow, ConfigsView, ConfigView } from "./config-view.ts";
export { graphGroupings, type GraphGrouping } from "./graph-view.ts";
export type { GraphEdge, GraphNode, GraphRoute, GraphView, Health } from "./graph-view.ts";
export type { LadderProxy, LadderRevision, LadderRung, LadderView } from "./ladder-view.ts";
export {
  applyLiveMessage,
  topicNames,
  topicText,
  type GraphParameters,
  type LiveMessage,
  type TopicName,
  type Topics,
} from "./live.ts";
export type { AttentionRow, NamespaceRow, OverviewHead, OverviewView } from "./overview-view.ts";
export {
  proxySections,
  seriesMeasures,
  type ApplyAnswer,
  type DashboardRequests,
  type LogsAnswer,
  type ProxyAnswer,
  type ProxySection,
  type RequestName,
  type SeriesAnswer,
  type SeriesMeasure,
  type SeriesRequest,
  type WhatIfAnswer,
} from "./requests.ts";
export type {
  EventRow,
  FreezeRow,
  RolloutCheck,
  RolloutHead,
  RolloutRow,
  RolloutStep,
  RolloutsView,
  RolloutView,
} from "./rollout-view.ts";
export { seenJson, seenText } from "./seen-text.ts";
export type { Session } from "./session.ts";
export {
  maxListedPods,
  type PeerRow,
  type PodRow,
  type ServiceHead,
  type ServiceRow,
  type ServicesView,
  type ServiceView,
  type WorkloadHead,
  type WorkloadRow,
  type WorkloadsView,
  type WorkloadView,
} from "./workload-view.ts";
export type { Problem, ProblemCode, SourceState, View, ViewHead } from "./view.ts";
export { isRestingPhase } from "../serin/rollout-status.ts";
