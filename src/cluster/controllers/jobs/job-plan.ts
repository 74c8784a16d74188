import { isFinishedPod, type Job, type JobCondition, type Pod } from "../../../api/kubernetes/index.ts";
import { createdMs, isReady, isTerminating, maxNewPods } from "../pods/pod-facts.ts";
import { failedIndexesOf, lastFailures, totalOf } from "./index-failures.ts";
import { endOf, type JobEnd, type JobProgress } from "./job-end.ts";
import { formatIndexes, indexOf, indexesOf, parseIndexes, unite } from "./job-indexes.ts";
import { judgeFailure, replacesOnlyFailed } from "./pod-failure-policy.ts";

const backoffInitialMs = 10_000;
const backoffMaxMs = 600_000;

export interface JobPlan {
  /** The completion indexes of pods to create. Undefined for a Job without indexes. */
  readonly create: readonly (number | undefined)[];
  /** The failed pods that get a successor, by completion index. Empty unless the Job has a `backoffLimitPerIndex`. */
  readonly predecessors: ReadonlyMap<number, Pod>;
  readonly remove: readonly Pod[];
  readonly status: NonNullable<Job["status"]>;
  readonly lookAgainMs: number | undefined;
}

interface JobState {
  readonly job: Job;
  readonly succeeded: readonly Pod[];
  readonly succeededIndexes: readonly number[] | undefined;
  readonly failed: readonly Pod[];
  readonly failedIndexes: readonly number[] | undefined;
  readonly active: readonly Pod[];
  /** Pods that are being deleted and have not ended. */
  readonly terminating: readonly Pod[];
}

/**
 * The next actions for a Job, derived from its pods. Ended pods stay until the Job is deleted, so they can be counted
 * each time.
 */
export function planJob(job: Job, pods: readonly Pod[], now: string, nowMs: number): JobPlan {
  const state = stateOf(job, pods);
  const { active } = state;
  const startTime = startOf(job, now);
  const counts = countsOf(state, startTime);
  const idle = { create: [], predecessors: new Map<number, Pod>(), remove: active, lookAgainMs: undefined };
  if (finishedCondition(job) !== undefined) return { ...idle, status: endedStatus(job, counts) };
  const conditions = [
    ...(job.status?.conditions ?? []).filter(({ type }) => type !== "Suspended"),
    ...suspensionOf(job, now),
  ];
  const isSuspended = job.spec?.suspend === true;
  const interim = interimCondition(job);
  const end = interim ?? endOf(job, progressOf(state, isSuspended ? undefined : startTime), nowMs);
  if (end !== undefined) return { ...idle, status: endingStatus(state, { ...counts, conditions }, end, now) };
  if (isSuspended) return { ...idle, status: { ...counts, conditions } };
  return { ...planPods(state, startTime, nowMs), status: { ...counts, conditions } };
}

export function finishedCondition(job: Job): JobCondition | undefined {
  return job.status?.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
}

/**
 * Returns the condition of a Job whose result is decided while some of its pods still exist. Returns undefined for any
 * other Job.
 */
function interimCondition(job: Job): JobEnd | undefined {
  const found = job.status?.conditions?.find(
    ({ type, status }) => (type === "SuccessCriteriaMet" || type === "FailureTarget") && status === "True",
  );
  return found as JobEnd | undefined;
}

function stateOf(job: Job, pods: readonly Pod[]): JobState {
  const { completions = 0, suspend, completionMode } = job.spec ?? {};
  // If the Job is suspended, the pods that it stops count neither as succeeded nor as failed.
  const countable = suspend === true ? pods.filter((pod) => !isTerminating(pod)) : pods;
  const succeeded = countable.filter((pod) => pod.status?.phase === "Succeeded");
  const failed = countable.filter((pod) => pod.status?.phase === "Failed");
  const running = pods.filter((pod) => !isFinishedPod(pod));
  const isIndexed = completionMode === "Indexed";
  const before = parseIndexes(job.status?.completedIndexes ?? "", completions);
  const failedIndexes = failedIndexesOf(job, failed);
  const succeededIndexes = isIndexed ? unite(before, indexesOf(succeeded, completions)) : undefined;
  return {
    job,
    succeeded,
    succeededIndexes,
    failed,
    // An index that succeeded has not failed, even if other pods of this index failed.
    failedIndexes: failedIndexes?.filter((index) => succeededIndexes?.includes(index) !== true),
    active: running.filter((pod) => !isTerminating(pod)),
    terminating: running.filter(isTerminating),
  };
}

type JobStatus = NonNullable<Job["status"]>;

function countsOf(state: JobState, startTime: string | undefined): JobStatus {
  const { job, failed, active, terminating, succeededIndexes, failedIndexes } = state;
  return {
    active: active.length,
    ready: active.filter(isReady).length,
    succeeded: successesOf(state),
    failed: failed.filter((pod) => judgeFailure(job, pod).action !== "Ignore").length,
    terminating: terminating.length,
    ...(startTime === undefined ? {} : { startTime }),
    ...(succeededIndexes === undefined ? {} : { completedIndexes: formatIndexes(succeededIndexes) }),
    ...(failedIndexes === undefined ? {} : { failedIndexes: formatIndexes(failedIndexes) }),
  };
}

/** The number of successes. For an indexed Job, each index counts once. */
function successesOf({ succeeded, succeededIndexes }: JobState): number {
  return (succeededIndexes ?? succeeded).length;
}

function progressOf(state: JobState, startTime: string | undefined): JobProgress {
  return { ...state, succeeded: successesOf(state), startTime };
}

/** The status of a Job that has ended. Its pods may be deleted by now, so the counts and indexes stay unchanged. */
function endedStatus({ status }: Job, counts: JobStatus): JobStatus {
  const { completedIndexes: _completed, failedIndexes: _failed, ...rest } = counts;
  return {
    ...status,
    ...rest,
    ...highestCounts(status, counts),
    active: 0,
    conditions: status?.conditions ?? [],
  };
}

/**
 * The status of a Job that is ending. The Job becomes Complete or Failed only when its last pod has gone. Until then,
 * an interim condition announces the result.
 */
function endingStatus(state: JobState, counts: JobStatus, end: JobEnd, now: string): JobStatus {
  const { job, active, terminating } = state;
  const isNew = interimCondition(job) === undefined;
  const unfinished = active.length + terminating.length;
  // When a Job fails, the pods that are stopped for that reason count as failed.
  const stopped = isNew && end.type === "FailureTarget" ? unfinished : 0;
  const condition = (type: JobCondition["type"]): JobCondition => ({
    ...end,
    type,
    status: "True",
    lastProbeTime: now,
    lastTransitionTime: now,
  });
  const last = end.type === "FailureTarget" ? "Failed" : "Complete";
  return {
    ...counts,
    ...highestCounts(job.status, { ...counts, failed: (counts.failed ?? 0) + stopped }),
    active: 0,
    ready: 0,
    terminating: unfinished,
    ...(unfinished === 0 && last === "Complete" ? { completionTime: now } : {}),
    conditions: [
      ...(counts.conditions ?? []),
      ...(isNew ? [condition(end.type)] : []),
      ...(unfinished === 0 ? [condition(last)] : []),
    ],
  };
}

function highestCounts(before: Job["status"], counts: JobStatus): Pick<JobStatus, "succeeded" | "failed"> {
  return {
    succeeded: Math.max(before?.succeeded ?? 0, counts.succeeded ?? 0),
    failed: Math.max(before?.failed ?? 0, counts.failed ?? 0),
  };
}

/** The time at which the Job became active. A resumed Job gets a new time, so its deadline starts again. */
function startOf({ spec, status }: Job, now: string): string | undefined {
  if (spec?.suspend === true) return status?.startTime;
  const wasSuspended = status?.conditions?.some(
    (condition) => condition.type === "Suspended" && condition.status === "True",
  );
  return wasSuspended === true ? now : (status?.startTime ?? now);
}

/** The condition Suspended. Returns an empty list if the Job was never suspended. */
function suspensionOf({ spec, status }: Job, now: string): JobCondition[] {
  const before = status?.conditions?.find(({ type }) => type === "Suspended");
  const isSuspended = spec?.suspend === true;
  if (before === undefined && !isSuspended) return [];
  if (before?.status === (isSuspended ? "True" : "False")) return [before];
  return [
    {
      type: "Suspended",
      status: isSuspended ? "True" : "False",
      reason: isSuspended ? "JobSuspended" : "JobResumed",
      message: isSuspended ? "Job suspended" : "Job resumed",
      lastProbeTime: now,
      lastTransitionTime: now,
    },
  ];
}

function planPods(state: JobState, startTime: string | undefined, nowMs: number): Omit<JobPlan, "status"> {
  const { job, active, terminating } = state;
  const wanted = wantedActive(state);
  const surplus = Math.max(0, active.length - wanted);
  const remove = [...active].sort((a, b) => createdMs(b) - createdMs(a)).slice(0, surplus);
  const missing = wanted - active.length - (replacesOnlyFailed(job) ? terminating.length : 0);
  const room = Math.min(maxNewPods, Math.max(0, missing));
  const { create, predecessors, waitMs } = newPods(state, room, nowMs);
  const { activeDeadlineSeconds } = job.spec ?? {};
  const deadlineMs =
    activeDeadlineSeconds === undefined || startTime === undefined
      ? undefined
      : Date.parse(startTime) + activeDeadlineSeconds * 1000 - nowMs;
  const looks = [waitMs, deadlineMs].filter((ms) => ms !== undefined);
  return { create, predecessors, remove, lookAgainMs: looks.length === 0 ? undefined : Math.min(...looks) };
}

/**
 * How many pods should run. A Job without `completions` adds no pod after the first success, and its running pods
 * finish their work.
 */
function wantedActive(state: JobState): number {
  const { completions, parallelism = 1 } = state.job.spec ?? {};
  if (completions === undefined) return state.succeeded.length > 0 ? state.active.length : parallelism;
  return Math.min(parallelism, Math.max(0, completions - successesOf(state)));
}

interface NewPods extends Pick<JobPlan, "create" | "predecessors"> {
  /** The time until the next pod may start. Undefined if no pod has to wait. */
  readonly waitMs: number | undefined;
}

/** The new pods, up to the allowed number. Failed pods are replaced after a wait. */
function newPods(state: JobState, room: number, nowMs: number): NewPods {
  const { job, succeeded, failed } = state;
  const predecessors = new Map<number, Pod>();
  if (job.spec?.backoffLimitPerIndex !== undefined) return newPodsOfIndexes(state, room, nowMs);
  const waitMs = retryWaitMs(succeeded, failed, nowMs);
  if (waitMs > 0) return { create: [], predecessors, waitMs };
  const create =
    state.succeededIndexes === undefined ? Array.from({ length: room }, () => undefined) : freeIndexes(state, room);
  return { create, predecessors, waitMs: undefined };
}

/**
 * The indexes that get a new pod. After a failure, each index waits for a time of its own. While it waits, it takes one
 * of the places for new pods.
 */
function newPodsOfIndexes(state: JobState, room: number, nowMs: number): NewPods {
  const last = lastFailures(state.failed);
  const waits = freeIndexes(state, room).map((index) => {
    const pod = last.get(index);
    return { index, pod, waitMs: pod === undefined ? 0 : finishedAtMs(pod) + backoffMs(totalOf(pod)) - nowMs };
  });
  const due = waits.filter(({ waitMs }) => waitMs <= 0);
  const later = waits.map(({ waitMs }) => waitMs).filter((waitMs) => waitMs > 0);
  return {
    create: due.map(({ index }) => index),
    predecessors: new Map(due.flatMap(({ index, pod }) => (pod === undefined ? [] : [[index, pod] as const]))),
    waitMs: later.length === 0 ? undefined : Math.min(...later),
  };
}

/** The lowest indexes that have not ended and have no pod. */
function freeIndexes({ job, succeededIndexes, failedIndexes, active, terminating }: JobState, count: number): number[] {
  const occupied = replacesOnlyFailed(job) ? [...active, ...terminating] : active;
  const taken = new Set([...(succeededIndexes ?? []), ...(failedIndexes ?? []), ...occupied.map(indexOf)]);
  const free: number[] = [];
  for (let index = 0; index < (job.spec?.completions ?? 0) && free.length < count; index += 1)
    if (!taken.has(index)) free.push(index);
  return free;
}

/**
 * The wait after this number of failures: 10 s after the first, 20 s after the second, 40 s after the third, and so on.
 */
function backoffMs(failures: number): number {
  return Math.min(backoffMaxMs, backoffInitialMs * 2 ** (failures - 1));
}

/** How long the Job must still wait before it creates the next pod. Only failures after the last success count. */
function retryWaitMs(succeeded: readonly Pod[], failed: readonly Pod[], nowMs: number): number {
  const lastSuccessMs = Math.max(0, ...succeeded.map(finishedAtMs));
  const failuresMs = failed.map(finishedAtMs).filter((atMs) => atMs > lastSuccessMs);
  if (failuresMs.length === 0) return 0;
  return Math.max(...failuresMs) + backoffMs(failuresMs.length) - nowMs;
}

function finishedAtMs(pod: Pod): number {
  const times = (pod.status?.containerStatuses ?? []).map(
    ({ state }) => Date.parse(state?.terminated?.finishedAt ?? "") || 0,
  );
  return Math.max(createdMs(pod), ...times);
}
