import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, Pod } from "../../../api/kubernetes/index.ts";
import { makePod, namesOf, type PodOptions } from "../testing/make-pod.ts";
import { completionIndexAnnotation } from "./job-indexes.ts";
import { planJob, type JobPlan } from "./job-plan.ts";

const now = "2026-01-01T12:00:00Z";
const nowMs = Date.parse(now);
const job = (spec: Partial<NonNullable<Job["spec"]>> = {}, status?: Job["status"]): Job => ({
  metadata: { name: "work", namespace: "default", uid: "job" },
  spec: { completions: 1, parallelism: 1, template: {}, ...spec },
  ...(status === undefined ? {} : { status }),
});
const plan = (job: Job, pods: readonly Pod[] = []): JobPlan => planJob(job, pods, now, nowMs);
const succeeded = (name: string, options: PodOptions = {}): Pod =>
  makePod(name, { phase: "Succeeded", ready: false, ...options });
const failed = (name: string, finishedAt = "2026-01-01T08:00:00Z"): Pod => ended(name, "Failed", finishedAt);
function ended(name: string, phase: "Failed" | "Succeeded", finishedAt: string): Pod {
  const pod = makePod(name, { phase, ready: false, restarts: 0 });
  for (const status of pod.status?.containerStatuses ?? [])
    status.state = { terminated: { exitCode: phase === "Failed" ? 1 : 0, finishedAt } };
  return pod;
}

const indexed = (index: number, options: PodOptions = {}): Pod =>
  makePod(`work-${index}`, { ...options, annotations: { [completionIndexAnnotation]: String(index) } });
const end = ({ status }: JobPlan): string => {
  const found = status.conditions?.findLast(({ type }) => type !== "Suspended");
  return found === undefined ? "goes on" : `${found.type}: ${found.reason}`;
};

test("a Job runs as many pods at once as parallelism allows, but not more than the missing completions", () => {
  assert.equal(plan(job({ parallelism: 2, completions: 5 })).create.length, 2);
  assert.equal(
    plan(job({ parallelism: 3, completions: 5 }), [succeeded("a"), succeeded("b"), succeeded("c"), makePod("d")]).create
      .length,
    1,
  );
  assert.equal(plan(job({ parallelism: 0, completions: 5 })).create.length, 0);
});

test("a lower parallelism removes the youngest pods", () => {
  const pods = [makePod("older"), makePod("younger", { created: "2026-01-01T01:00:00Z" })];
  assert.deepEqual(namesOf(plan(job({ parallelism: 1, completions: 4 }), pods).remove), ["younger"]);
});

test("a Job is complete when its number of pods has succeeded", () => {
  const complete = plan(job({ completions: 2 }), [succeeded("a"), succeeded("b")]);
  assert.equal(end(complete), "Complete: CompletionsReached");
  assert.deepEqual([complete.status.succeeded, complete.status.completionTime, complete.create], [2, now, []]);
  assert.equal(end(plan(job({ completions: 2 }), [succeeded("a")])), "goes on");
  assert.equal(end(plan(job({ completions: 0 }))), "Complete: CompletionsReached");
});

test("a work queue is complete when one pod has succeeded and all have ended, and starts no pod after the first success", () => {
  const { completions: _none, ...spec } = job({ parallelism: 2 }).spec ?? { template: {} };
  const queue: Job = { ...job(), spec };
  assert.equal(plan(queue).create.length, 2);
  const onePod = plan(queue, [succeeded("a"), makePod("b")]);
  assert.deepEqual([end(onePod), onePod.create], ["goes on", []]);
  assert.equal(end(plan(queue, [succeeded("a"), failed("b")])), "Complete: CompletionsReached");
});

test("a Job fails when more pods have failed than backoffLimit, which is six by default", () => {
  const failures = (count: number): Pod[] => Array.from({ length: count }, (_, index) => failed(`f-${index}`));
  assert.equal(end(plan(job(), failures(6))), "goes on");
  assert.equal(end(plan(job(), failures(7))), "Failed: BackoffLimitExceeded");
  assert.equal(end(plan(job({ backoffLimit: 0 }), failures(1))), "Failed: BackoffLimitExceeded");
});

test("a Job that fails removes the pods that still run, which count as failed", () => {
  const pods = [failed("a"), makePod("b")];
  const { remove, status } = plan(job({ backoffLimit: 0, parallelism: 2, completions: 2 }), pods);
  assert.deepEqual([namesOf(remove), status.failed, status.active, status.terminating], [["b"], 2, 0, 1]);
});

test("a Job fails after activeDeadlineSeconds, which comes before its retries", () => {
  const late = job({ activeDeadlineSeconds: 60, backoffLimit: 5 }, { startTime: "2026-01-01T11:59:00Z" });
  assert.equal(end(plan(late, [makePod("a")])), "FailureTarget: DeadlineExceeded");
  assert.equal(end(plan(late)), "Failed: DeadlineExceeded");
  const early = job({ activeDeadlineSeconds: 60 }, { startTime: "2026-01-01T11:59:10Z" });
  assert.deepEqual([end(plan(early, [makePod("a")])), plan(early, [makePod("a")]).lookAgainMs], ["goes on", 10_000]);
});

test("the next pod waits ten seconds after a failure, twice as long after each further one, and ten minutes at most", () => {
  const wait = (count: number): number | undefined => {
    const pods = Array.from({ length: count }, (_, index) => failed(`f-${index}`, now));
    const { create, lookAgainMs } = plan(job({ backoffLimit: 100 }), pods);
    assert.deepEqual(create, []);
    return lookAgainMs;
  };
  assert.deepEqual([1, 2, 3, 6, 7].map(wait), [10_000, 20_000, 40_000, 320_000, 600_000]);
  assert.equal(plan(job(), [failed("a", "2026-01-01T11:59:50Z")]).create.length, 1);
});

test("an indexed Job has a pod for each index, and creates again only those that have not succeeded", () => {
  const spec = { completions: 4, parallelism: 4, completionMode: "Indexed" as const };
  assert.deepEqual(plan(job(spec)).create, [0, 1, 2, 3]);
  const pods = [indexed(0, { phase: "Succeeded" }), indexed(2)];
  assert.deepEqual(plan(job(spec), pods).create, [1, 3]);
  const all = [0, 1, 2, 3].map((index) => indexed(index, { phase: "Succeeded" }));
  assert.equal(end(plan(job(spec), all)), "Complete: CompletionsReached");
  assert.equal(plan(job(spec), all).status.completedIndexes, "0-3");
});

test("a suspended Job has no pods and a condition that shows this", () => {
  const { create, remove, status } = plan(job({ suspend: true }), [makePod("a")]);
  assert.deepEqual([create, namesOf(remove), status.startTime], [[], ["a"], undefined]);
  const [condition] = status.conditions ?? [];
  assert.deepEqual([condition?.type, condition?.status, condition?.reason], ["Suspended", "True", "JobSuspended"]);
});

test("an ended Job stays ended, with its counts, when its pods are deleted", () => {
  const status = {
    succeeded: 3,
    failed: 1,
    startTime: "2026-01-01T11:00:00Z",
    conditions: [{ type: "Complete" as const, status: "True" as const }],
  };
  const { create, status: after } = plan(job({ completions: 3 }, status));
  assert.deepEqual([create, after.succeeded, after.failed, after.active], [[], 3, 1, 0]);
});

test("the status counts active, ready and terminating pods, and keeps the time of the start", () => {
  const pods = [makePod("a"), makePod("b", { ready: false }), makePod("c", { deleted: true })];
  const started = job({ completions: 5, parallelism: 3 }, { startTime: "2026-01-01T11:00:00Z" });
  const { active, ready, terminating, startTime } = plan(started, pods).status;
  assert.deepEqual([active, ready, terminating, startTime], [2, 1, 1, "2026-01-01T11:00:00Z"]);
  assert.equal(plan(job()).status.startTime, now);
});

test("three or more consecutive completed indexes are written as a range, and two are not", () => {
  const written = (...indexes: readonly number[]): string | undefined =>
    plan(
      job({ completions: 20, completionMode: "Indexed" }),
      indexes.map((index) => indexed(index, { phase: "Succeeded" })),
    ).status.completedIndexes;
  assert.equal(written(7, 1, 3, 4, 5), "1,3-5,7");
  assert.equal(written(0, 1, 3), "0,1,3");
  assert.equal(written(), "");
});

test("with restartPolicy OnFailure, restarts of containers count against backoffLimit", () => {
  const spec = (backoffLimit: number, restartPolicy: "OnFailure" | "Never" = "OnFailure"): Job =>
    job({ backoffLimit, template: { spec: { containers: [], restartPolicy } } });
  assert.equal(end(plan(spec(3), [makePod("a", { restarts: 2 })])), "goes on");
  assert.equal(end(plan(spec(3), [makePod("a", { restarts: 3 })])), "FailureTarget: BackoffLimitExceeded");
  assert.equal(end(plan(spec(3, "Never"), [makePod("a", { restarts: 3 })])), "goes on");
  assert.equal(end(plan(spec(0), [makePod("a", { restarts: 0 })])), "goes on");
  assert.equal(end(plan(spec(0), [makePod("a", { restarts: 1 })])), "FailureTarget: BackoffLimitExceeded");
});

test("the restarts of all pods that have not ended are added, also those of init containers", () => {
  const spec = { backoffLimit: 3, parallelism: 2, completions: 2 };
  const retried = job({ ...spec, template: { spec: { containers: [], restartPolicy: "OnFailure" } } });
  const initialising = makePod("b", { phase: "Pending", ready: false, restarts: 0 });
  const [container] = initialising.status?.containerStatuses ?? [];
  if (initialising.status !== undefined && container !== undefined)
    initialising.status.initContainerStatuses = [{ ...container, restartCount: 2 }];
  assert.equal(
    end(plan(retried, [makePod("a", { restarts: 1 }), initialising])),
    "FailureTarget: BackoffLimitExceeded",
  );
  assert.equal(end(plan(retried, [makePod("a", { restarts: 1, phase: "Succeeded" }), initialising])), "goes on");
});

test("the deadline of a Job does not run while it is suspended, and starts again when it is resumed", () => {
  const long = "2026-01-01T08:00:00Z";
  const suspended = plan(job({ suspend: true, activeDeadlineSeconds: 60 }, { startTime: long }), [makePod("a")]);
  assert.equal(end(suspended), "goes on");
  const resumed = plan(job({ activeDeadlineSeconds: 60 }, suspended.status));
  assert.deepEqual([end(resumed), resumed.status.startTime, resumed.lookAgainMs], ["goes on", now, 60_000]);
  assert.equal(resumed.create.length, 1);
});

test("the condition of a resumed Job shows that it is no longer suspended", () => {
  const suspended = plan(job({ suspend: true })).status;
  const resumed = plan(job({}, suspended)).status;
  assert.deepEqual(
    resumed.conditions?.map(({ type, status, reason }) => [type, status, reason]),
    [["Suspended", "False", "JobResumed"]],
  );
  const later = planJob(job({}, resumed), [], "2026-01-01T13:00:00Z", nowMs + 3_600_000).status;
  assert.deepEqual([later.conditions, later.startTime], [resumed.conditions, now]);
  assert.deepEqual(plan(job()).status.conditions, []);
});

test("pods that a suspension stops count neither as succeeded nor as failed", () => {
  const stopped = [
    makePod("a", { phase: "Succeeded", deleted: true }),
    makePod("b", { phase: "Failed", deleted: true }),
  ];
  const { status } = plan(job({ suspend: true, completions: 1, backoffLimit: 0 }), stopped);
  assert.deepEqual(
    [status.succeeded, status.failed, end(plan(job({ suspend: true, backoffLimit: 0 }), stopped))],
    [0, 0, "goes on"],
  );
  assert.equal(plan(job({ suspend: true, completions: 2 }), [succeeded("c")]).status.succeeded, 1);
});

test("after the first success of a work queue, the running pods continue", () => {
  const { completions: _none, ...spec } = job({ parallelism: 3 }).spec ?? { template: {} };
  const { create, remove } = plan({ ...job(), spec }, [succeeded("a"), makePod("b"), makePod("c")]);
  assert.deepEqual([create, remove], [[], []]);
});

test("a success ends the wait after earlier failures, and later failures count from one again", () => {
  const spec = { completions: 10, backoffLimit: 20 };
  const early = [failed("a", "2026-01-01T11:59:40Z"), failed("b", "2026-01-01T11:59:50Z")];
  const success = ended("c", "Succeeded", "2026-01-01T11:59:55Z");
  assert.equal(plan(job(spec), [...early, success]).create.length, 1);
  assert.equal(plan(job(spec), [...early, success, failed("d", now)]).lookAgainMs, 10_000);
});

test("an index that succeeded twice counts once", () => {
  const spec = { completions: 2, parallelism: 2, completionMode: "Indexed" as const };
  const pods = [
    indexed(0, { phase: "Succeeded" }),
    { ...indexed(0, { phase: "Succeeded" }), metadata: { ...indexed(0).metadata, name: "twin" } },
  ];
  const { create, status } = plan(job(spec), pods);
  assert.deepEqual([create, status.succeeded, status.completedIndexes], [[1], 1, "0"]);
});

test("an ended indexed Job keeps its completed indexes when its pods are deleted", () => {
  const status = {
    succeeded: 3,
    completedIndexes: "0-2",
    conditions: [{ type: "Complete" as const, status: "True" as const }],
  };
  const after = plan(job({ completions: 3, completionMode: "Indexed" }, status)).status;
  assert.equal(after.completedIndexes, "0-2");
});

test("a Job with a decided result has an interim condition until its last pod is gone", () => {
  const going = makePod("b", { deleted: true });
  const spec = { backoffLimit: 0, parallelism: 2, completions: 2 };
  const failing = plan(job(spec), [failed("a"), makePod("b")]);
  assert.equal(end(failing), "FailureTarget: BackoffLimitExceeded");
  assert.equal(end(plan(job(spec, failing.status), [failed("a"), going])), "FailureTarget: BackoffLimitExceeded");
  const over = plan(job(spec, failing.status), [failed("a")]).status;
  assert.deepEqual(
    over.conditions?.map(({ type, reason }) => [type, reason]),
    [
      ["FailureTarget", "BackoffLimitExceeded"],
      ["Failed", "BackoffLimitExceeded"],
    ],
  );
  assert.deepEqual([over.failed, over.terminating, over.completionTime], [2, 0, undefined]);
  const succeeding = plan(job({ completions: 1, parallelism: 2 }), [succeeded("a"), makePod("b")]);
  assert.deepEqual(
    [end(succeeding), namesOf(succeeding.remove), succeeding.status.completionTime],
    ["SuccessCriteriaMet: CompletionsReached", ["b"], undefined],
  );
  const done = plan(job({ completions: 1, parallelism: 2 }, succeeding.status), [succeeded("a")]).status;
  assert.deepEqual([done.conditions?.at(-1)?.type, done.completionTime, done.failed], ["Complete", now, 0]);
});

test("a decided result does not change, whatever the last pods do", () => {
  const conditions = [{ type: "SuccessCriteriaMet" as const, status: "True" as const, reason: "SuccessPolicy" }];
  const pods = [failed("a"), failed("b"), makePod("c", { deleted: true })];
  const { create, status } = plan(job({ backoffLimit: 0, completions: 5 }, { succeeded: 2, conditions }), pods);
  assert.deepEqual([create, status.succeeded, status.conditions], [[], 2, conditions]);
});

test("a failure takes precedence over a success", () => {
  assert.equal(end(plan(job({ backoffLimit: 0 }), [failed("a"), succeeded("b")])), "Failed: BackoffLimitExceeded");
});

test("completed indexes stay when their pods are deleted", () => {
  const spec = { completions: 4, parallelism: 4, completionMode: "Indexed" as const };
  const { create, status } = plan(job(spec, { completedIndexes: "0,1", succeeded: 2 }), [indexed(2)]);
  assert.deepEqual([create, status.completedIndexes, status.succeeded], [[3], "0,1", 2]);
});

test("a Job of any size creates a bounded number of pods before it looks again", () => {
  const endless = { parallelism: 2 ** 31 - 1, completions: 2 ** 31 - 1 };
  assert.equal(plan(job(endless), [succeeded("a")]).create.length, 500);
  const indexes = plan(job({ ...endless, completionMode: "Indexed" }), [indexed(0)]).create;
  assert.deepEqual([indexes.length, indexes[0], indexes.at(-1)], [500, 1, 500]);
});
