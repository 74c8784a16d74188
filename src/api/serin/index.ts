// Serin's own kinds and the reports of its processes: types with all defaults filled in, and parsers.
export { canaryKind, parseCanary, requestCheckFault, type Canary, type CanarySpec, type CanaryStep } from "./canary.ts";
export { targetOfSpec } from "./canary-target.ts";
export type {
  BackendTarget,
  CanaryTarget,
  DeploymentTarget,
  DestinationTarget,
  NamespacesTarget,
  RouteKind,
  RouteTarget,
  ServicesTarget,
} from "./canary-target.ts";
export { checkKind, parseCheck, resolveChecks, type Check } from "./check.ts";
export { conditionBudget, evaluateCondition, type ConditionBindings, type ConditionBudget } from "./check-condition.ts";
export {
  checkDefaults,
  defaultIntervalSeconds,
  type CheckReference,
  type CheckSpec,
  type QuerySpec,
  type WebhookSpec,
} from "./check-spec.ts";
export { checkTypes, type CheckType } from "./check-type.ts";
export { explainCheck } from "./explain-check.ts";
export { fillTemplate, namesWindow, type TemplateSide, type TemplateValues } from "./check-template.ts";
export {
  freezeKind,
  parseFreeze,
  readFreeze,
  unreadableFreeze,
  type Freeze,
  type FreezeException,
  type FreezeRead,
  type FreezeSpec,
  type FreezeWindow,
} from "./freeze.ts";
export { faultsOfReferences, meshUpgradeKind, parseMeshUpgrade, type MeshUpgrade } from "./mesh-upgrade.ts";
export type { UpgradeWave } from "./upgrade-wave.ts";
export {
  approvalsSince,
  approvalsSinceFailure,
  isSameOrder,
  maxApprovals,
  notificationEvents,
  type Approval,
  type NotificationEvent,
  type NotificationSpec,
  type RolloutOrdersSpec,
  type OrderedBy,
  type OrdersMark,
} from "./rollout-orders.ts";
export {
  errorMarginMultiple,
  expectedErrorRate,
  highestErrorRate,
  ruledOutErrorRate,
  wrongPassChance,
} from "./rate-bound.ts";
export { changeAgainst, remadeProblem } from "./rollout-actions/change-against.ts";
export { approvalPatch, fullPromotionPatch, orderPatch, retriedRollout } from "./rollout-actions/order-patches.ts";
export { approvalProblem, lackingRight, refusalOf } from "./rollout-actions/order-refusal.ts";
export { commandForStep, rolloutCommand } from "./rollout-actions/rollout-command.ts";
export { rolloutOffers } from "./rollout-actions/rollout-offers.ts";
export { hasEnded, type Rollout, type RolloutKind } from "./rollout-actions/rollout.ts";
export { approvalBefore, completingSteps, nextApprovalOf, waitingStepOf } from "./rollout-actions/waiting-step.ts";
export { secretPath, withoutSecretPaths, type SecretPathPurpose } from "./secret-path.ts";
export { storedJournal, storedRollout } from "./stored-rollout.ts";
export type { PathMatchType, TrafficMatch, ValueMatch } from "./traffic-match.ts";
export { canaryOfLabel, gatewayCanaryAnnotations } from "./gateway-canary.ts";
export {
  pluginProblemReason,
  pluginRemedyAnnotation,
  type EnrolledPodReport,
  type EnrolledReport,
} from "./node-status.ts";
export {
  authorityStageAnnotation,
  authorityStages,
  workloadControllerPodAnnotation,
  type AcknowledgementReport,
  type AuthorityStage,
  type ConnectedProxy,
  type ProxyAcknowledgement,
  type ProxyRoots,
  type RootsReport,
  engineId,
  podOfProxyId,
  shortTypeOf,
} from "./pilot-status.ts";
export {
  describeProbeEnd,
  describeProbePair,
  probeDataPlanes,
  renderMatrix,
  type ProbeDataPlane,
  type ProbeEnd,
  type ProbeMatrix,
  type ProbePair,
} from "./probe-matrix.ts";
export {
  changesLeft,
  journalFormatVersion,
  entriesSumAnnotation,
  journalOwnerAnnotation,
  lastRunCompleted,
  maxDecisions,
  messageWithoutEvidence,
  rolloutJournalKind,
  type DecisionRecord,
  type JournalEntry,
  type ObjectReference,
  type RestartKind,
  type RolloutJournal,
} from "./rollout-journal.ts";
export {
  isEndPhase,
  isRestingPhase,
  maxPlannedSteps,
  authorAnnotation,
  rolloutGroup,
  pauseReasons,
  rolloutPhases,
  rolloutVersion,
  holderAnnotation,
  maxJournaledObjects,
  withoutJournalAnnotation,
  hasUndoFinalizer,
  kubectlKind,
  kubectlObject,
  ownUidAnnotation,
  unknownUid,
  undoFinalizer,
  type CheckStatus,
  type CompletedStep,
  type JournaledObjects,
  type LostJournal,
  type MeantRule,
  type PlannedStep,
  type PauseReason,
  type RolloutPhase,
  type RolloutStatus,
  type StepStatus,
  type UndoCause,
  type UndoStatus,
  type Verdict,
} from "./rollout-status.ts";
export { ztunnelOwner, ztunnelOwnerAnnotation, ztunnelRevisionLabel } from "./ztunnel-owner.ts";
export { rolloutKinds } from "./rollout-kinds.ts";
