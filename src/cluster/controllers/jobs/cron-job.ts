import { jsonEqual } from "../../../base/index.ts";
import { cronJobKind, jobKind, type CronJob, type Job } from "../../../api/kubernetes/index.ts";
import { controllerOf, isKubeCode, ownerReference } from "../../../kube/index.ts";
import { enqueueControllerOn, enqueueOn, patchStatus, timeOf, type ControllerContext } from "../controller.ts";
import { latestRun, nextRun, parseCron } from "./cron-schedule.ts";
import { finishedCondition } from "./job-plan.ts";
import { createdMs, isTerminating } from "../pods/pod-facts.ts";

/** Timers of Node cannot wait longer than 24 days. */
const longestWaitMs = 3_600_000;

/** Starts Jobs at their scheduled times, which are in UTC unless they name a time zone. */
export function addCronJobController(context: ControllerContext): void {
  const cronJobs = context.view(cronJobKind);
  const jobs = context.view(jobKind);
  const record = context.events("cronjob-controller");
  const jobsByOwner = jobs.index((job) => {
    const owner = controllerOf(job);
    return owner === undefined ? [] : [owner.uid];
  });

  const queue = context.queue("cronjob", async (key) => {
    const cronJob = cronJobs.at(key);
    if (cronJob?.spec === undefined || isTerminating(cronJob)) return undefined;
    const owned = jobsByOwner.of(cronJob.metadata.uid ?? "");
    await trim(cronJob, owned);
    const schedule = parseCron(cronJob.spec.schedule, cronJob.spec.timeZone);
    if (schedule === undefined) {
      record(cronJobKind, cronJob, { type: "Warning", ...scheduleFault(cronJob.spec) });
      return undefined;
    }
    const nowMs = context.clock.nowMs();
    const active = owned.filter((job) => finishedCondition(job) === undefined && !isTerminating(job));
    const due = dueRun(cronJob, nowMs);
    const lastScheduleTime = due === undefined ? cronJob.status?.lastScheduleTime : await start(cronJob, due, active);
    await writeStatus(cronJob, jobsByOwner.of(cronJob.metadata.uid ?? ""), lastScheduleTime);
    const sinceMs = Date.parse(lastScheduleTime ?? cronJob.metadata.creationTimestamp ?? "") || nowMs;
    const next = nextRun(schedule, nowMs, sinceMs);
    return next === undefined ? undefined : Math.min(longestWaitMs, next - nowMs);
  });

  const start = async (cronJob: CronJob, dueMs: number, active: readonly Job[]): Promise<string | undefined> => {
    const { name = "", namespace = "" } = cronJob.metadata;
    if (active.length > 0 && cronJob.spec?.concurrencyPolicy === "Forbid") return cronJob.status?.lastScheduleTime;
    if (cronJob.spec?.concurrencyPolicy === "Replace") {
      for (const job of active)
        await context.client.delete(jobKind, job.metadata.name ?? "", namespace, { propagationPolicy: "Background" });
    }
    const template = cronJob.spec?.jobTemplate ?? {};
    const job: Job = {
      metadata: {
        // The name is derived from the time, so that a run is never started twice.
        name: `${name.slice(0, 52)}-${Math.floor(dueMs / 60_000)}`,
        namespace,
        ...(template.metadata?.labels === undefined ? {} : { labels: template.metadata.labels }),
        annotations: {
          ...template.metadata?.annotations,
          "batch.kubernetes.io/cronjob-scheduled-timestamp": timeOf(dueMs),
        },
        ownerReferences: [ownerReference(cronJobKind, cronJob)],
      },
      ...(template.spec === undefined ? {} : { spec: template.spec }),
    };
    try {
      jobs.wrote(await context.client.create(jobKind, job));
      record(cronJobKind, cronJob, {
        type: "Normal",
        reason: "SuccessfulCreate",
        message: `Created job ${job.metadata.name ?? ""}`,
      });
    } catch (error) {
      if (!isKubeCode(error, "already-exists")) throw error;
    }
    return timeOf(dueMs);
  };

  const writeStatus = async (
    cronJob: CronJob,
    owned: readonly Job[],
    lastScheduleTime: string | undefined,
  ): Promise<void> => {
    const active = owned
      .filter((job) => finishedCondition(job) === undefined)
      .map(({ metadata: { name = "", namespace = "", uid = "" } }) => ({
        kind: "Job",
        apiVersion: "batch/v1",
        name,
        namespace,
        uid,
      }));
    const completions = owned.flatMap((job) => job.status?.completionTime ?? []).sort();
    const lastSuccessfulTime = completions.at(-1) ?? cronJob.status?.lastSuccessfulTime;
    const status = {
      active,
      ...(lastScheduleTime === undefined ? {} : { lastScheduleTime }),
      ...(lastSuccessfulTime === undefined ? {} : { lastSuccessfulTime }),
    };
    if (jsonEqual({ active: [], ...cronJob.status }, { ...cronJob.status, ...status })) return;
    await patchStatus(context, cronJobKind, cronJob, status);
  };

  const trim = async (cronJob: CronJob, owned: readonly Job[]): Promise<void> => {
    for (const [type, limit] of [
      ["Complete", cronJob.spec?.successfulJobsHistoryLimit ?? 3],
      ["Failed", cronJob.spec?.failedJobsHistoryLimit ?? 1],
    ] as const) {
      const ended = owned
        .filter((job) => finishedCondition(job)?.type === type && !isTerminating(job))
        .sort((a, b) => createdMs(a) - createdMs(b));
      for (const job of ended.slice(0, Math.max(0, ended.length - limit))) {
        await context.client.delete(jobKind, job.metadata.name ?? "", job.metadata.namespace, {
          propagationPolicy: "Background",
        });
      }
    }
  };

  enqueueOn(cronJobs, queue);
  enqueueControllerOn(jobs, cronJobKind, queue);
}

function scheduleFault({ schedule, timeZone }: NonNullable<CronJob["spec"]>): { reason: string; message: string } {
  return parseCron(schedule) === undefined
    ? { reason: "UnparseableSchedule", message: `unparseable schedule: "${schedule}"` }
    : { reason: "UnknownTimeZone", message: `invalid timeZone: "${timeZone ?? ""}"` };
}

/** The latest due run that has not been started. Undefined if there is none, or if it is too late. */
export function dueRun({ metadata, spec, status }: CronJob, nowMs: number): number | undefined {
  const schedule = parseCron(spec?.schedule ?? "", spec?.timeZone);
  if (schedule === undefined || spec?.suspend === true) return undefined;
  const deadlineSeconds = spec?.startingDeadlineSeconds;
  const earliestMs = deadlineSeconds === undefined ? 0 : nowMs - deadlineSeconds * 1000;
  const knownMs = Date.parse(status?.lastScheduleTime ?? metadata.creationTimestamp ?? "") || nowMs;
  return latestRun(schedule, Math.max(earliestMs, knownMs), nowMs);
}
