import type { Job, JobCondition, Pod, SuccessPolicy } from "../../../api/kubernetes/index.ts";
import { parseRanges } from "./job-indexes.ts";
import { judgeFailure } from "./pod-failure-policy.ts";

/** The facts about a Job's pods that decide whether the Job ends. */
export interface JobProgress {
  readonly succeeded: number;
  /** The indexes that have succeeded, or undefined for a Job without indexes. */
  readonly succeededIndexes: readonly number[] | undefined;
  /** The pods that failed, including those whose failures a policy ignores. */
  readonly failed: readonly Pod[];
  /** The indexes that have failed, or undefined for a Job without a limit for each index. */
  readonly failedIndexes: readonly number[] | undefined;
  readonly active: readonly Pod[];
  /** The time from which the deadline counts. Undefined while the Job is suspended. */
  readonly startTime: string | undefined;
}

/** The condition of a Job that ends while it still has pods. */
export type JobEnd = Pick<JobCondition, "reason" | "message"> & {
  readonly type: "FailureTarget" | "SuccessCriteriaMet";
};

/** Whether the Job ends now, and why. As in Kubernetes, a failure takes precedence over a success. */
export function endOf(job: Job, progress: JobProgress, nowMs: number): JobEnd | undefined {
  const failure = failureOf(job, progress, nowMs);
  if (failure !== undefined) return { type: "FailureTarget", ...failure };
  const success = successOf(job, progress);
  return success === undefined ? undefined : { type: "SuccessCriteriaMet", ...success };
}

type Reason = Pick<JobCondition, "reason" | "message">;

function failureOf(job: Job, progress: JobProgress, nowMs: number): Reason | undefined {
  const { activeDeadlineSeconds, backoffLimit = 6, completions = 0, maxFailedIndexes } = job.spec ?? {};
  const { failed, failedIndexes = [], succeededIndexes = [], active, startTime } = progress;
  const verdicts = failed.map((pod) => judgeFailure(job, pod));
  const message = verdicts.find((verdict) => verdict.message !== undefined)?.message;
  if (message !== undefined) return { reason: "PodFailurePolicy", message };
  const counted = verdicts.filter(({ action }) => action !== "Ignore").length;
  if (counted > backoffLimit || isPastRestarts(job, active))
    return { reason: "BackoffLimitExceeded", message: "Job has reached the specified backoff limit" };
  if (
    activeDeadlineSeconds !== undefined &&
    startTime !== undefined &&
    nowMs - Date.parse(startTime) >= activeDeadlineSeconds * 1000
  )
    return { reason: "DeadlineExceeded", message: "Job was active longer than specified deadline" };
  if (maxFailedIndexes !== undefined && failedIndexes.length > maxFailedIndexes)
    return {
      reason: "MaxFailedIndexesExceeded",
      message: "Job has exceeded the specified maximal number of failed indexes",
    };
  if (failedIndexes.length > 0 && failedIndexes.length + succeededIndexes.length >= completions)
    return { reason: "FailedIndexes", message: "Job has failed indexes" };
  return undefined;
}

function successOf({ spec }: Job, { succeeded, succeededIndexes = [], active }: JobProgress): Reason | undefined {
  const rule = ruleMet(spec?.successPolicy, succeededIndexes, spec?.completions ?? 0);
  if (rule !== undefined) return { reason: "SuccessPolicy", message: `Matched rules at index ${rule}` };
  // Without `completions`, the Job is done when all pods have ended and any of them has succeeded.
  const isDone = spec?.completions === undefined ? succeeded > 0 && active.length === 0 : succeeded >= spec.completions;
  return isDone ? { reason: "CompletionsReached", message: "Reached expected number of succeeded pods" } : undefined;
}

/** The index of the first rule of the success policy that the succeeded indexes meet. */
function ruleMet(
  policy: SuccessPolicy | undefined,
  succeeded: readonly number[],
  completions: number,
): number | undefined {
  if (succeeded.length === 0) return undefined;
  const found = policy?.rules.findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return succeededCount !== undefined && succeeded.length >= succeededCount;
    // Compare ranges and not single indexes: a range may contain more indexes than fit into memory.
    const wanted = parseRanges(succeededIndexes, completions);
    const total = wanted.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    const reached = succeeded.filter((index) => wanted.some(({ first, last }) => index >= first && index <= last));
    return total > 0 && reached.length >= (succeededCount ?? total);
  });
  return found === -1 ? undefined : found;
}

/** Whether restarts of containers within running pods have used up the Job's `backoffLimit`. */
function isPastRestarts({ spec }: Job, active: readonly Pod[]): boolean {
  if (spec?.template.spec?.restartPolicy !== "OnFailure") return false;
  const statuses = active.flatMap(({ status }) => [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
  ]);
  const restarts = statuses.reduce((total, { restartCount }) => total + restartCount, 0);
  return restarts > 0 && restarts >= (spec.backoffLimit ?? 6);
}
