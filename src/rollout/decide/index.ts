export { compareRoots, describeRoot, type RevisionRoots, type RootCertificate, type RootComparison } from "./compare-roots.ts";
export { conflictDetail, currentStep, decide, initialStatus, type DecideInput, type Decision, type RolloutOrders } from "./decide.ts";
export { intervalMsOf } from "./checks/looks.ts";
export { judgeCheck } from "./judge-checks.ts";
export type { Action, CheckObservation, Observation, OutcomeCounts, PodFacts, SettleState, WriteState } from "./observation.ts";
export type { ProbeCounts, ProbeFacts, ProbePairFacts } from "./probe-matrix.ts";
export { describeReference, referenceKey, type CheckSubject, type PlannedCheck, type SettleCondition, type Step, type WorkloadMatch, type Write } from "./step.ts";
