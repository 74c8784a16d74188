import assert from "node:assert/strict";
import { test } from "node:test";
import { cronJobKind, jobKind, type CronJob, type Job } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { namesOf } from "../testing/make-pod.ts";
import { addCronJobController, dueRun } from "./cron-job.ts";

const nowMs = Date.parse("2026-03-04T12:30:00Z");
const cronJob = (
  schedule: string,
  lastScheduleTime?: string,
  spec: Partial<NonNullable<CronJob["spec"]>> = {},
): CronJob => ({
  metadata: { name: "backup", creationTimestamp: "2026-03-04T11:45:00Z" },
  spec: { schedule, jobTemplate: {}, ...spec },
  ...(lastScheduleTime === undefined ? {} : { status: { lastScheduleTime } }),
});
const due = (cronJob: CronJob): string | undefined => {
  const atMs = dueRun(cronJob, nowMs);
  return atMs === undefined ? undefined : new Date(atMs).toISOString().replace(":00.000Z", "");
};

test("a run is due once its time has come, and not again after it was started", () => {
  assert.equal(due(cronJob("30 12 * * *")), "2026-03-04T12:30");
  assert.equal(due(cronJob("31 12 * * *")), undefined);
  assert.equal(due(cronJob("30 12 * * *", "2026-03-04T12:30:00Z")), undefined);
});

test("a new CronJob has missed nothing from before its creation", () => {
  assert.equal(due(cronJob("30 11 * * *")), undefined);
  assert.equal(due(cronJob("0 * * * *")), "2026-03-04T12:00");
});

test("if several runs were missed, only the latest is due", () => {
  assert.equal(due(cronJob("*/10 * * * *", "2026-03-04T09:00:00Z")), "2026-03-04T12:30");
});

test("if more than a hundred runs were missed, only the latest is due, too", () => {
  assert.equal(due(cronJob("0 * * * *", "2026-02-25T00:00:00Z")), "2026-03-04T12:00");
  assert.equal(due(cronJob("0 6 * * *", "2020-01-01T06:00:00Z")), "2026-03-04T06:00");
  assert.equal(due(cronJob("* * * * *", "2025-03-04T00:00:00Z")), "2026-03-04T12:30");
});

test("a run that is later than startingDeadlineSeconds is skipped", () => {
  const missed = "2026-03-04T11:50:00Z";
  assert.equal(due(cronJob("0 * * * *", missed, { startingDeadlineSeconds: 1_799 })), undefined);
  assert.equal(due(cronJob("0 * * * *", missed, { startingDeadlineSeconds: 1_801 })), "2026-03-04T12:00");
});

test("a suspended CronJob and one without a readable schedule have no run that is due", () => {
  assert.equal(due(cronJob("* * * * *", undefined, { suspend: true })), undefined);
  assert.equal(due(cronJob("nonsense")), undefined);
});

test("the time zone of a CronJob decides when it is due", () => {
  assert.equal(due(cronJob("15 13 * * *", undefined, { timeZone: "Europe/Berlin" })), "2026-03-04T12:15");
  assert.equal(due(cronJob("15 12 * * *", undefined, { timeZone: "Europe/Berlin" })), undefined);
});

const minuteMs = 60_000;

/** A cluster at 12:00:30 with a CronJob that runs every minute. */
function start(spec: Partial<NonNullable<CronJob["spec"]>> = {}): HandCluster {
  const cluster = new HandCluster("2026-03-04T12:00:30Z");
  addCronJobController(cluster.context);
  const { metadata, spec: plain } = cronJob("* * * * *", undefined, spec);
  cluster.put(cronJobKind, {
    metadata: { ...metadata, namespace: "shop", creationTimestamp: "2026-03-04T12:00:30Z" },
    ...(plain === undefined ? {} : { spec: plain }),
  });
  return cluster;
}

/** Lets the newest Job end. */
function endJob(cluster: HandCluster, type: "Complete" | "Failed"): void {
  const job = cluster.all(jobKind).at(-1) as Job;
  const completion = type === "Complete" ? { completionTime: cluster.context.now() } : {};
  cluster.put(jobKind, { ...job, status: { conditions: [{ type, status: "True" }], ...completion } });
}

const minuteOf = (time: string): number => Date.parse(time) / minuteMs;

test("each run starts a Job that is named after its minute and has the template's labels and annotations", async () => {
  const cluster = start({
    jobTemplate: { metadata: { labels: { app: "backup" }, annotations: { note: "x" } }, spec: { template: {} } },
  });
  await cluster.settle();
  assert.deepEqual(cluster.all(jobKind), []);
  await cluster.pass(minuteMs);
  const [job] = cluster.all(jobKind);
  assert.equal(job?.metadata.name, `backup-${minuteOf("2026-03-04T12:01:00Z")}`);
  assert.deepEqual(job.metadata.labels, { app: "backup" });
  assert.deepEqual(job.metadata.annotations, {
    note: "x",
    "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-03-04T12:01:00Z",
  });
  assert.equal(job.metadata.ownerReferences?.[0]?.kind, "CronJob");
});

test("the status names the Jobs that run, the last scheduled time and the last success", async () => {
  const cluster = start();
  await cluster.settle();
  await cluster.pass(minuteMs);
  const running = cluster.all(cronJobKind)[0]?.status;
  assert.deepEqual(
    [running?.active?.map(({ name }) => name), running?.lastScheduleTime],
    [namesOf(cluster.all(jobKind)), "2026-03-04T12:01:00Z"],
  );
  endJob(cluster, "Complete");
  await cluster.settle();
  const done = cluster.all(cronJobKind)[0]?.status;
  assert.deepEqual([done?.active, done?.lastSuccessfulTime], [[], "2026-03-04T12:01:30Z"]);
});

test("the policy Allow lets runs overlap", async () => {
  const cluster = start();
  await cluster.settle();
  await cluster.pass(2 * minuteMs);
  assert.equal(cluster.all(jobKind).length, 2);
});

test("the policy Forbid skips runs while a Job runs, and starts the latest one when it has ended", async () => {
  const cluster = start({ concurrencyPolicy: "Forbid" });
  await cluster.settle();
  await cluster.pass(3 * minuteMs);
  assert.equal(cluster.all(jobKind).length, 1);
  endJob(cluster, "Complete");
  await cluster.settle();
  assert.deepEqual(
    namesOf(cluster.all(jobKind)),
    ["12:01", "12:03"].map((time) => `backup-${minuteOf(`2026-03-04T${time}:00Z`)}`),
  );
});

test("the policy Replace deletes the Job that runs", async () => {
  const cluster = start({ concurrencyPolicy: "Replace" });
  await cluster.settle();
  await cluster.pass(2 * minuteMs);
  assert.deepEqual(namesOf(cluster.all(jobKind)), [`backup-${minuteOf("2026-03-04T12:02:00Z")}`]);
});

test("the newest three succeeded Jobs and the newest failed one stay, unless the limits say otherwise", async () => {
  const kept = async (spec: Partial<NonNullable<CronJob["spec"]>>): Promise<string[]> => {
    const cluster = start(spec);
    await cluster.settle();
    for (const type of ["Failed", "Failed", "Complete", "Complete", "Complete", "Complete"] as const) {
      await cluster.pass(minuteMs);
      endJob(cluster, type);
      await cluster.settle();
    }
    return cluster.all(jobKind).map(({ metadata: { name = "" }, status }) => {
      const minute = Number(name.split("-")[1]) - minuteOf("2026-03-04T12:00:00Z");
      return `${minute} ${status?.conditions?.[0]?.type}`;
    });
  };
  assert.deepEqual(await kept({}), ["2 Failed", "4 Complete", "5 Complete", "6 Complete"]);
  assert.deepEqual(await kept({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 }), ["6 Complete"]);
});

test("a schedule or a time zone that cannot be read is reported by an event", async () => {
  const broken = start({ schedule: "nonsense" });
  await broken.settle();
  const lost = start({ timeZone: "Europe/Atlantis" });
  await lost.settle();
  assert.deepEqual([broken.events, lost.events], [["UnparseableSchedule"], ["UnknownTimeZone"]]);
});

test("an interval starts its first Job one interval after the CronJob was created, and continues without a drift", async () => {
  const cluster = start({ schedule: "@every 90s" });
  await cluster.settle();
  await cluster.pass(89_000);
  assert.deepEqual(cluster.all(jobKind), []);
  await cluster.pass(1_000);
  assert.equal(cluster.all(cronJobKind)[0]?.status?.lastScheduleTime, "2026-03-04T12:02:00Z");
  await cluster.pass(270_000);
  assert.equal(cluster.all(jobKind).length, 4);
  assert.equal(cluster.all(cronJobKind)[0]?.status?.lastScheduleTime, "2026-03-04T12:06:30Z");
});
