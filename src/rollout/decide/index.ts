export { compareRoots, describeRoot, type RevisionRoots, type RootCertificate, type RootComparison } from "./compare-roots.ts";
export { conflictDetail, currentStep, decide, initialStatus, type DecideInput, type Decision, type RolloutOrders } from "./decide.ts";
export type { Action, CheckObservation, Observation, OutcomeCounts, SettleState, WriteState } from "./observation.ts";
export type { ProbeCounts, ProbeFacts, ProbePairFacts } from "./probe-matrix.ts";
export { describeReference, referenceKey, type CheckSubject, type PlannedCheck, type SettleCondition, type Step, type WorkloadMatch, type Write } from "./step.ts";
