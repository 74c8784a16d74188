export { canaryKind, parseCanary, type BackendTarget, type Canary, type CanarySpec, type CanaryStep, type HttpRouteTarget } from "./canary.ts";
export { checkDefaults, type CheckSpec, type CheckType } from "./check-spec.ts";
export { meshUpgradeKind, parseMeshUpgrade, type MeshUpgrade, type MeshUpgradeSpec } from "./mesh-upgrade.ts";
export type { EnrolledPodReport, EnrolledReport } from "./node-status.ts";
export { authorityStages, type AcknowledgementReport, type AuthorityStage, type ConnectedProxy, type ProxyAcknowledgement, type ProxyRoots, type RootsReport } from "./pilot-status.ts";
export {
  journalFormatVersion,
  rolloutGroup,
  rolloutJournalKind,
  rolloutVersion,
  type CheckStatus,
  type CompletedStep,
  type JournalEntry,
  type ObjectReference,
  type RolloutJournal,
  type RolloutPhase,
  type RolloutStatus,
  type StepStatus,
  type Verdict,
} from "./rollout-status.ts";
export { ztunnelOwner, ztunnelOwnerAnnotation, type ZtunnelOwnerQuery } from "./ztunnel-owner.ts";
