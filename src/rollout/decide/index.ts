// Decides the next status and actions of a rollout from its steps and observations. Pure.
export { noticed } from "./conditions.ts";
export { compareRoots, describeRoot, type RevisionRoots, type RootCertificate } from "./compare-roots.ts";
export { blockers, groupView, type Blocker, type GroupView } from "./blockers.ts";
export { isUnbegunCopy } from "./copied.ts";
export { isJournalLost } from "./lost-journal.ts";
export {
  allDone,
  beginsStep,
  isLingering,
  isPuttingBack,
  isRefusedAfterEnd,
  isUnderWay,
  nextOrdinalOf,
  type Contender,
  type MovedRule,
} from "./contender.ts";
export { cannotClear, decide, initialStatus } from "./decide.ts";
export {
  cannotGoOn,
  completedMessage,
  failingStatus,
  refusedStatus,
  saysTheSame,
  type Refusal,
  type RoundFailure,
} from "./hold.ts";
export { freezesInForce, type FreezeSubject } from "./freezes.ts";
export { windowState, type WindowState } from "../../api/serin/freeze-windows/index.ts";
export {
  isOfEndedRun,
  derivedStep,
  journalCounts,
  putBackCause,
  type JournalCounts,
  type DecideInput,
  type Decision,
  type FailedWrite,
  type RolloutCommands,
  type RolloutOrders,
} from "./input.ts";
export {
  enabledPointer,
  isOfBanzai,
  operatedParts,
  partEnabledBy,
  partTitled,
  type OperatedPart,
} from "./operated-parts.ts";
export {
  hasOwnChanges,
  keepsEdits,
  listDoneAnyway,
  listUndo,
  listUndoIfRewritten,
  listUndoneAnyway,
  listWithout,
  listWrite,
  restoredList,
  rewrittenList,
} from "./list-edits/index.ts";
export { judgeCheck } from "./judge-checks.ts";
export { withApprovals } from "./checks/approvals.ts";
export { intervalMsOf } from "./checks/looks.ts";
export { maxSources } from "./checks/outcomes.ts";
export type {
  Action,
  CheckObservation,
  DecisionReason,
  Observation,
  OutcomeCounts,
  PodFacts,
  ReadyPods,
  RolloutEvent,
  SettleState,
  UndoReport,
  WriteState,
} from "./observation.ts";
export {
  currentStep,
  isDone,
  namespacesTaken,
  orderedSteps,
  plannedSteps,
  withLastWeightOpen,
} from "./planned-steps.ts";
export { isOwnWrite, isToBeNoted } from "./own-write.ts";
export { probeNamespace, probeNamespaceObject } from "./probe-namespace.ts";
export type { ProbeCounts, ProbeFacts, ProbePairFacts } from "./probe-matrix.ts";
export type { ProbePodFacts, ServingPod } from "./replaced-probes.ts";
export { sinceSettledMs } from "./settle-progress.ts";
export { undoPatienceMs } from "./rollback.ts";
export { conflictDetail, keptFields, shown, type KeptField } from "./conflict.ts";
export { fieldEntries, fieldKey, isOfField, isPrior, type FieldEntry, type FieldOfObject } from "./field-entries.ts";
export { restartTime } from "./restart-time.ts";
export {
  describeReference,
  referenceKey,
  storedKey,
  type CheckSubject,
  type PlannedCheck,
  type SettleCondition,
  type Step,
  type WorkloadMatch,
  type Write,
} from "./step.ts";
