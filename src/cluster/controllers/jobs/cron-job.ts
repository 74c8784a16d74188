import { jsonEqual, rfc3339Seconds } from "../../../base/index.ts";
import { cronJobKind, jobKind, type CronJob, type Job } from "../../../api/kubernetes/index.ts";
import { controllerOf, isKubeCode, ownerReference } from "../../../kube/index.ts";
import { asList, enqueueControllerOn, enqueueOn, patchStatus, type ControllerContext } from "../controller.ts";
import type { ObjectIndex, ObjectView } from "../object-view.ts";
import { latestRun, nextRun, parseCron } from "./cron-schedule.ts";
import { finishedCondition } from "./job-plan.ts";
import { createdMs, isTerminating } from "../pods/pod-facts.ts";

/** The longest wait until the next check. Timers of Node.js cannot wait longer than 24 days. */
const longestWaitMs = 3_600_000;

/** Starts Jobs at their scheduled times. These are in UTC unless the CronJob names a time zone. */
export function addCronJobController(context: ControllerContext): void {
  const controller = new CronJobController(context);
  const queue = context.queue("cronjob", (key) => controller.reconcile(key));
  enqueueOn(context.view(cronJobKind), queue);
  enqueueControllerOn(context.view(jobKind), cronJobKind, queue);
}

class CronJobController {
  readonly #context: ControllerContext;
  readonly #cronJobs: ObjectView<CronJob>;
  readonly #jobs: ObjectView<Job>;
  readonly #jobsByOwner: ObjectIndex<Job>;
  readonly #record: ReturnType<ControllerContext["events"]>;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#cronJobs = context.view(cronJobKind);
    this.#jobs = context.view(jobKind);
    this.#jobsByOwner = this.#jobs.index((job) => asList(controllerOf(job)?.uid));
    this.#record = context.events("cronjob-controller");
  }

  /** Returns the time until the next run, in milliseconds. */
  async reconcile(key: string): Promise<number | undefined> {
    const cronJob = this.#cronJobs.at(key);
    if (cronJob?.spec === undefined || isTerminating(cronJob)) return undefined;
    const owned = this.#ownedBy(cronJob);
    await this.#trim(cronJob, owned);
    const schedule = parseCron(cronJob.spec.schedule, cronJob.spec.timeZone);
    if (schedule === undefined) {
      this.#record(cronJobKind, cronJob, { type: "Warning", ...scheduleFault(cronJob.spec) });
      return undefined;
    }
    const nowMs = this.#context.clock.nowMs();
    const due = dueRun(cronJob, nowMs);
    const lastScheduleTime =
      due === undefined ? cronJob.status?.lastScheduleTime : await this.#start(cronJob, due, owned.filter(isActive));
    await this.#writeStatus(cronJob, this.#ownedBy(cronJob), lastScheduleTime);
    const sinceMs = Date.parse(lastScheduleTime ?? cronJob.metadata.creationTimestamp ?? "") || nowMs;
    const next = nextRun(schedule, nowMs, sinceMs);
    return next === undefined ? undefined : Math.min(longestWaitMs, next - nowMs);
  }

  #ownedBy({ metadata }: CronJob): Job[] {
    return this.#jobsByOwner.of(metadata.uid ?? "");
  }

  /** Starts the due run if the concurrency policy allows it. Returns the new `lastScheduleTime`. */
  async #start(cronJob: CronJob, dueMs: number, active: readonly Job[]): Promise<string | undefined> {
    const policy = cronJob.spec?.concurrencyPolicy;
    if (active.length > 0 && policy === "Forbid") return cronJob.status?.lastScheduleTime;
    if (policy === "Replace") for (const job of active) await this.#delete(job);
    const job = jobOfRun(cronJob, dueMs);
    try {
      this.#jobs.wrote(await this.#context.client.create(jobKind, job));
      this.#record(cronJobKind, cronJob, {
        type: "Normal",
        reason: "SuccessfulCreate",
        message: `Created job ${job.metadata.name ?? ""}`,
      });
    } catch (error) {
      if (!isKubeCode(error, "already-exists")) throw error;
    }
    return rfc3339Seconds(dueMs);
  }

  async #writeStatus(cronJob: CronJob, owned: readonly Job[], lastScheduleTime: string | undefined): Promise<void> {
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
    await patchStatus(this.#context, cronJobKind, cronJob, status);
  }

  /** Deletes the oldest ended Jobs above the limits of the history. */
  async #trim(cronJob: CronJob, owned: readonly Job[]): Promise<void> {
    for (const [type, limit] of [
      ["Complete", cronJob.spec?.successfulJobsHistoryLimit ?? 3],
      ["Failed", cronJob.spec?.failedJobsHistoryLimit ?? 1],
    ] as const) {
      const ended = owned
        .filter((job) => finishedCondition(job)?.type === type && !isTerminating(job))
        .sort((a, b) => createdMs(a) - createdMs(b));
      for (const job of ended.slice(0, Math.max(0, ended.length - limit))) await this.#delete(job);
    }
  }

  async #delete({ metadata: { name = "", namespace } }: Job): Promise<void> {
    await this.#context.client.delete(jobKind, name, namespace, { propagationPolicy: "Background" });
  }
}

function isActive(job: Job): boolean {
  return finishedCondition(job) === undefined && !isTerminating(job);
}

/** The Job of one run. Its name contains the scheduled time, so that no run starts twice. */
function jobOfRun(cronJob: CronJob, dueMs: number): Job {
  const { name = "", namespace = "" } = cronJob.metadata;
  const template = cronJob.spec?.jobTemplate ?? {};
  return {
    metadata: {
      name: `${name.slice(0, 52)}-${Math.floor(dueMs / 60_000)}`,
      namespace,
      ...(template.metadata?.labels === undefined ? {} : { labels: template.metadata.labels }),
      annotations: {
        ...template.metadata?.annotations,
        "batch.kubernetes.io/cronjob-scheduled-timestamp": rfc3339Seconds(dueMs),
      },
      ownerReferences: [ownerReference(cronJobKind, cronJob)],
    },
    ...(template.spec === undefined ? {} : { spec: template.spec }),
  };
}

function scheduleFault({ schedule, timeZone }: NonNullable<CronJob["spec"]>): { reason: string; message: string } {
  return parseCron(schedule) === undefined
    ? { reason: "UnparseableSchedule", message: `unparseable schedule: "${schedule}"` }
    : { reason: "UnknownTimeZone", message: `invalid timeZone: "${timeZone ?? ""}"` };
}

/**
 * Returns the scheduled time of the latest run that has not started. Returns undefined if there is none, or if its
 * deadline has passed.
 */
export function dueRun({ metadata, spec, status }: CronJob, nowMs: number): number | undefined {
  const schedule = parseCron(spec?.schedule ?? "", spec?.timeZone);
  if (schedule === undefined || spec?.suspend === true) return undefined;
  const deadlineSeconds = spec?.startingDeadlineSeconds;
  const earliestMs = deadlineSeconds === undefined ? 0 : nowMs - deadlineSeconds * 1000;
  const knownMs = Date.parse(status?.lastScheduleTime ?? metadata.creationTimestamp ?? "") || nowMs;
  return latestRun(schedule, Math.max(earliestMs, knownMs), nowMs);
}
