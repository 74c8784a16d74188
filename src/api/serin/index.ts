export { canaryKind, parseCanary, type BackendTarget, type Canary, type CanarySpec, type CanaryStep, type HttpRouteTarget } from "./canary.ts";
export { checkDefaults, checkTypes, type CheckSpec, type CheckType } from "./check-spec.ts";
export { meshUpgradeKind, parseMeshUpgrade, type MeshUpgrade, type MeshUpgradeSpec } from "./mesh-upgrade.ts";
export {
  journalFormatVersion,
  rolloutGroup,
  rolloutJournalKind,
  rolloutPhases,
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
export { defaultZtunnelRevision, ztunnelOwner, ztunnelOwnerAnnotation, ztunnelRevisionLabel, type ZtunnelOwnerQuery } from "./ztunnel-owner.ts";
