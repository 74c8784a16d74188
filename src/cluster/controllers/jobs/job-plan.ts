import type { Job, JobCondition, Pod } from "../../../api/kubernetes/index.ts";
import { createdMs, isFinished, isReady, isTerminating } from "../pods/pod-facts.ts";

export const completionIndexAnnotation = "batch.kubernetes.io/job-completion-index";
const backoffInitialMs = 10_000;
const backoffMaxMs = 360_000;

export interface JobPlan {
  /** The completion indexes of pods to create. Undefined for a Job without indexes. */
  readonly create: readonly (number | undefined)[];
  readonly remove: readonly Pod[];
  readonly status: NonNullable<Job["status"]>;
  readonly lookAgainMs: number | undefined;
}

/**
 * What a Job needs next, judged by its pods. Pods that ended stay until the Job goes, so they can be counted each time.
 */
export function planJob(job: Job, pods: readonly Pod[], now: string, nowMs: number): JobPlan {
  const spec = job.spec;
  const isSuspended = spec?.suspend === true;
  // What a suspension stops is neither done nor failed.
  const countable = isSuspended ? pods.filter((pod) => !isTerminating(pod)) : pods;
  const succeeded = successesOf(job, countable);
  const failed = countable.filter((pod) => pod.status?.phase === "Failed");
  const active = pods.filter((pod) => !isFinished(pod) && !isTerminating(pod));
  const ended = finishedCondition(job);
  const startTime = startOf(job, now);
  const counts = {
    active: active.length,
    ready: active.filter(isReady).length,
    succeeded: Math.max(succeeded.length, ended === undefined ? 0 : (job.status?.succeeded ?? 0)),
    failed: Math.max(failed.length, ended === undefined ? 0 : (job.status?.failed ?? 0)),
    terminating: pods.filter((pod) => isTerminating(pod) && !isFinished(pod)).length,
    ...(startTime === undefined ? {} : { startTime }),
    ...(spec?.completionMode === "Indexed" ? { completedIndexes: formatIndexes(indexesOf(succeeded)) } : {}),
  };
  const conditions = [
    ...(job.status?.conditions ?? []).filter(({ type }) => type !== "Suspended"),
    ...suspensionOf(job, now),
  ];
  const { completedIndexes: _indexes, ...withoutIndexes } = counts;
  if (ended !== undefined)
    return {
      create: [],
      remove: active,
      // The pods may be gone by now, so the completed indexes stay as they were.
      status: { ...job.status, ...withoutIndexes, active: 0, conditions: job.status?.conditions ?? [] },
      lookAgainMs: undefined,
    };
  const end = endOf(job, succeeded, failed, active, isSuspended ? undefined : startTime, nowMs);
  if (end !== undefined) {
    const condition = { ...end, status: "True" as const, lastProbeTime: now, lastTransitionTime: now };
    const completion = end.type === "Complete" ? { completionTime: now } : {};
    return {
      create: [],
      remove: active,
      status: { ...counts, active: 0, ready: 0, ...completion, conditions: [...conditions, condition] },
      lookAgainMs: undefined,
    };
  }
  if (isSuspended) return { create: [], remove: active, status: { ...counts, conditions }, lookAgainMs: undefined };
  const waitMs = retryWaitMs(succeeded, failed, nowMs);
  const deadlineMs =
    spec?.activeDeadlineSeconds === undefined || startTime === undefined
      ? undefined
      : Date.parse(startTime) + spec.activeDeadlineSeconds * 1000 - nowMs;
  const missing = waitMs > 0 ? [] : missingPods(job, succeeded, active);
  const surplus = Math.max(0, active.length - wantedActive(job, succeeded, active));
  const remove = [...active].sort((a, b) => createdMs(b) - createdMs(a)).slice(0, surplus);
  const looks = [waitMs > 0 ? waitMs : undefined, deadlineMs].filter((ms) => ms !== undefined);
  return {
    create: missing,
    remove,
    status: { ...counts, conditions },
    lookAgainMs: looks.length === 0 ? undefined : Math.min(...looks),
  };
}

export function finishedCondition(job: Job): JobCondition | undefined {
  return job.status?.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
}

/** The pods that count as completions. An index of an indexed Job counts once. */
function successesOf({ spec }: Job, pods: readonly Pod[]): Pod[] {
  const all = pods.filter((pod) => pod.status?.phase === "Succeeded");
  if (spec?.completionMode !== "Indexed") return all;
  return [...new Map(all.map((pod) => [pod.metadata.annotations?.[completionIndexAnnotation], pod])).values()];
}

/** When the Job began to be active: its deadline begins anew after a suspension. */
function startOf({ spec, status }: Job, now: string): string | undefined {
  if (spec?.suspend === true) return status?.startTime;
  const wasSuspended = status?.conditions?.some((each) => each.type === "Suspended" && each.status === "True");
  return wasSuspended === true ? now : (status?.startTime ?? now);
}

/** The condition Suspended. A Job that was never suspended has none. */
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

function endOf(
  job: Job,
  succeeded: readonly Pod[],
  failed: readonly Pod[],
  active: readonly Pod[],
  startTime: string | undefined,
  nowMs: number,
): Pick<JobCondition, "type" | "reason" | "message"> | undefined {
  const { completions, activeDeadlineSeconds, backoffLimit = 6 } = job.spec ?? {};
  // Without a number of completions, any success means that the work is done once all pods have ended.
  if (completions === undefined ? succeeded.length > 0 && active.length === 0 : succeeded.length >= completions) {
    return { type: "Complete", reason: "CompletionsReached", message: "Reached expected number of succeeded pods" };
  }
  if (failed.length > backoffLimit || isPastRestarts(job, active))
    return { type: "Failed", reason: "BackoffLimitExceeded", message: "Job has reached the specified backoff limit" };
  if (
    activeDeadlineSeconds !== undefined &&
    startTime !== undefined &&
    nowMs - Date.parse(startTime) >= activeDeadlineSeconds * 1000
  ) {
    return { type: "Failed", reason: "DeadlineExceeded", message: "Job was active longer than specified deadline" };
  }
  return undefined;
}

/** Whether containers that are restarted in their pods have used up the retries. */
function isPastRestarts({ spec }: Job, active: readonly Pod[]): boolean {
  if (spec?.template.spec?.restartPolicy !== "OnFailure") return false;
  const statuses = active.flatMap(({ status }) => [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
  ]);
  const restarts = statuses.reduce((total, { restartCount }) => total + restartCount, 0);
  return restarts > 0 && restarts >= (spec.backoffLimit ?? 6);
}

/** How many pods should run. After the first success of a work queue, those that run finish their work. */
function wantedActive(job: Job, succeeded: readonly Pod[], active: readonly Pod[]): number {
  const { completions, parallelism = 1 } = job.spec ?? {};
  if (completions === undefined) return succeeded.length > 0 ? active.length : parallelism;
  return Math.min(parallelism, Math.max(0, completions - succeeded.length));
}

function missingPods(job: Job, succeeded: readonly Pod[], active: readonly Pod[]): (number | undefined)[] {
  const { completions, completionMode } = job.spec ?? {};
  const count = Math.max(0, wantedActive(job, succeeded, active) - active.length);
  if (completionMode !== "Indexed") return Array.from({ length: count }, () => undefined);
  const taken = new Set([...indexesOf(succeeded), ...indexesOf(active)]);
  const free: number[] = [];
  for (let index = 0; index < (completions ?? 0) && free.length < count; index += 1)
    if (!taken.has(index)) free.push(index);
  return free;
}

/** The wait before the next pod after failures since the last success: 10 s, 20 s, 40 s … since the last one. */
function retryWaitMs(succeeded: readonly Pod[], failed: readonly Pod[], nowMs: number): number {
  const lastSuccessMs = Math.max(0, ...succeeded.map(finishedAtMs));
  const failuresMs = failed.map(finishedAtMs).filter((atMs) => atMs > lastSuccessMs);
  if (failuresMs.length === 0) return 0;
  const backoffMs = Math.min(backoffMaxMs, backoffInitialMs * 2 ** (failuresMs.length - 1));
  return Math.max(...failuresMs) + backoffMs - nowMs;
}

function finishedAtMs(pod: Pod): number {
  const times = (pod.status?.containerStatuses ?? []).map(
    ({ state }) => Date.parse(state?.terminated?.finishedAt ?? "") || 0,
  );
  return Math.max(createdMs(pod), ...times);
}

function indexesOf(pods: readonly Pod[]): number[] {
  const found = pods.flatMap((pod) => {
    const index = pod.metadata.annotations?.[completionIndexAnnotation];
    return index === undefined ? [] : [Number(index)];
  });
  return [...new Set(found)].sort((a, b) => a - b);
}

/** `0-2,5,6`: three or more consecutive indexes are a range. */
function formatIndexes(indexes: readonly number[]): string {
  const parts: string[] = [];
  for (let start = 0; start < indexes.length;) {
    let end = start;
    while (indexes[end + 1] === (indexes[end] ?? 0) + 1) end += 1;
    if (end - start > 1) parts.push(`${indexes[start]}-${indexes[end]}`);
    else parts.push(...indexes.slice(start, end + 1).map(String));
    start = end + 1;
  }
  return parts.join(",");
}
