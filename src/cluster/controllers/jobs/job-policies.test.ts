import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job, JobSpec, Pod } from "../../../api/kubernetes/index.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { failureAnnotations } from "./index-failures.ts";
import { completionIndexAnnotation, formatIndexes, parseIndexes } from "./job-indexes.ts";
import { planJob, type JobPlan } from "./job-plan.ts";

const now = "2026-01-01T12:00:00Z";
const nowMs = Date.parse(now);
type Policy = NonNullable<JobSpec["podFailurePolicy"]>;

const job = (spec: Partial<JobSpec>, status?: Job["status"]): Job => ({
  metadata: { name: "work", namespace: "default", uid: "job" },
  spec: { completions: 1, parallelism: 1, template: {}, ...spec },
  ...(status === undefined ? {} : { status }),
});
const indexedJob = (spec: Partial<JobSpec>, status?: Job["status"]): Job =>
  job({ completions: 3, parallelism: 3, completionMode: "Indexed", ...spec }, status);
const plan = (job: Job, pods: readonly Pod[] = []): JobPlan => planJob(job, pods, now, nowMs);
const end = ({ status }: JobPlan): string => {
  const found = status.conditions?.at(-1);
  return found === undefined ? "goes on" : `${found.type}: ${found.reason}`;
};

interface Ended {
  readonly exitCode?: number;
  readonly container?: string;
  readonly condition?: string;
  readonly finishedAt?: string;
  readonly index?: number;
  readonly annotations?: Record<string, string>;
}

/** A pod that has failed. */
function failed(name: string, how: Ended = {}): Pod {
  const { exitCode = 1, container = "app", condition, finishedAt = "2026-01-01T08:00:00Z", index } = how;
  const annotations = {
    ...(index === undefined ? {} : { [completionIndexAnnotation]: String(index) }),
    ...how.annotations,
  };
  const pod = makePod(name, { phase: "Failed", ready: false, restarts: 0, annotations });
  for (const status of pod.status?.containerStatuses ?? []) {
    status.name = container;
    status.state = { terminated: { exitCode, finishedAt } };
  }
  if (condition !== undefined) pod.status?.conditions?.push({ type: condition, status: "True" });
  return pod;
}

const indexed = (index: number, phase: "Running" | "Succeeded" = "Succeeded"): Pod =>
  makePod(`work-${index}`, { phase, annotations: { [completionIndexAnnotation]: String(index) } });
const onExit = (action: Policy["rules"][number]["action"], ...values: number[]): Policy => ({
  rules: [{ action, onExitCodes: { operator: "In", values } }],
});

test("a rule FailJob ends the Job at once, and the message names the pod, code and rule", () => {
  const podFailurePolicy: Policy = { rules: [...onExit("Ignore", 3).rules, ...onExit("FailJob", 42).rules] };
  const stopped = plan(job({ podFailurePolicy, parallelism: 2, completions: 2 }), [
    failed("a", { exitCode: 42 }),
    makePod("b"),
  ]);
  assert.deepEqual([end(stopped), namesOf(stopped.remove)], ["FailureTarget: PodFailurePolicy", ["b"]]);
  assert.equal(
    stopped.status.conditions?.at(-1)?.message,
    "Container app for pod default/a failed with exit code 42 matching FailJob rule at index 1",
  );
  assert.equal(end(plan(job({ podFailurePolicy }), [failed("a", { exitCode: 1 })])), "goes on");
});

test("a failure that a rule ignores does not count, and the pod is replaced after the usual wait", () => {
  const podFailurePolicy: Policy = { rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget" }] }] };
  const spec = { podFailurePolicy, backoffLimit: 0 };
  const ignored = plan(job(spec), [failed("a", { condition: "DisruptionTarget" })]);
  assert.deepEqual([end(ignored), ignored.status.failed, ignored.create.length], ["goes on", 0, 1]);
  const waiting = plan(job(spec), [failed("a", { condition: "DisruptionTarget", finishedAt: now })]);
  assert.deepEqual([waiting.create, waiting.lookAgainMs], [[], 10_000]);
  assert.equal(end(plan(job(spec), [failed("a")])), "Failed: BackoffLimitExceeded");
});

test("the first rule that matches decides, and with Count a failure counts as without a policy", () => {
  const podFailurePolicy: Policy = { rules: [...onExit("Count", 7).rules, ...onExit("FailJob", 7, 8).rules] };
  assert.equal(end(plan(job({ podFailurePolicy }), [failed("a", { exitCode: 7 })])), "goes on");
  assert.equal(plan(job({ podFailurePolicy }), [failed("a", { exitCode: 7 })]).status.failed, 1);
  assert.equal(end(plan(job({ podFailurePolicy }), [failed("a", { exitCode: 8 })])), "Failed: PodFailurePolicy");
});

test("a rule can name the container, exclude codes, and never matches a container that ended without an error", () => {
  const rule = (onExitCodes: NonNullable<Policy["rules"][number]["onExitCodes"]>, how: Ended): string =>
    end(plan(job({ podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes }] } }), [failed("a", how)]));
  assert.equal(
    rule({ containerName: "app", operator: "In", values: [2] }, { exitCode: 2 }),
    "Failed: PodFailurePolicy",
  );
  assert.equal(rule({ containerName: "app", operator: "In", values: [2] }, { exitCode: 2, container: "x" }), "goes on");
  assert.equal(rule({ operator: "NotIn", values: [2] }, { exitCode: 3 }), "Failed: PodFailurePolicy");
  assert.equal(rule({ operator: "NotIn", values: [2] }, { exitCode: 2 }), "goes on");
  assert.equal(rule({ operator: "NotIn", values: [2] }, { exitCode: 0 }), "goes on");
});

test("a Job with a policy, or with podReplacementPolicy Failed, replaces no pod that is still terminating", () => {
  const going = makePod("a", { deleted: true });
  assert.equal(plan(job({}), [going]).create.length, 1);
  assert.equal(plan(job({ podFailurePolicy: onExit("Ignore", 3) }), [going]).create.length, 0);
  assert.equal(plan(job({ podReplacementPolicy: "Failed" }), [going]).create.length, 0);
  const goingIndex: Pod = { ...indexed(0, "Running"), metadata: { ...indexed(0).metadata, deletionTimestamp: now } };
  assert.deepEqual(plan(indexedJob({ podReplacementPolicy: "Failed" }), [goingIndex]).create, [1, 2]);
});

const once = { "batch.kubernetes.io/job-index-failure-count": "1" };

test("each index has its own retries, and the Job continues with the others until all have ended", () => {
  const spec = { backoffLimitPerIndex: 1, backoffLimit: 2 ** 31 - 1 };
  const first = failed("work-0", { index: 0 });
  const retried = plan(indexedJob(spec), [first, indexed(1, "Running"), indexed(2, "Running")]);
  assert.deepEqual([retried.create, retried.status.failedIndexes], [[0], ""]);
  const again = failed("work-0-again", { index: 0, annotations: once });
  const lost = plan(indexedJob(spec), [first, again, indexed(1, "Running"), indexed(2)]);
  assert.deepEqual([lost.create, lost.status.failedIndexes, end(lost)], [[], "0", "goes on"]);
  const over = plan(indexedJob(spec), [first, again, indexed(1), indexed(2)]);
  assert.deepEqual([end(over), over.status.failedIndexes], ["Failed: FailedIndexes", "0"]);
  assert.deepEqual([over.status.succeeded, over.status.completedIndexes], [2, "1,2"]);
});

test("failed indexes stay when their pods are deleted", () => {
  const spec = { backoffLimitPerIndex: 0, backoffLimit: 100 };
  const { create, status } = plan(indexedJob(spec, { failedIndexes: "1" }));
  assert.deepEqual([create, status.failedIndexes], [[0, 2], "1"]);
});

test("each index has its own wait, which grows with each failure, even an ignored one", () => {
  const spec = { backoffLimitPerIndex: 5, backoffLimit: 100 };
  const { create, lookAgainMs } = plan(indexedJob(spec), [
    failed("work-0", { index: 0, finishedAt: now }),
    failed("work-1", { index: 1, finishedAt: now, annotations: once }),
  ]);
  assert.deepEqual([create, lookAgainMs], [[2], 10_000]);
  const both = { ...once, "batch.kubernetes.io/job-index-ignored-failure-count": "1" };
  const later = plan(indexedJob({ ...spec, completions: 1 }), [
    failed("work-0", { index: 0, finishedAt: now, annotations: both }),
  ]);
  assert.equal(later.lookAgainMs, 40_000);
});

test("a new pod of an index carries the failures of its predecessors", () => {
  const podFailurePolicy = onExit("Ignore", 3);
  const spec = indexedJob({ backoffLimitPerIndex: 5, podFailurePolicy });
  const counted = "batch.kubernetes.io/job-index-failure-count";
  const ignored = "batch.kubernetes.io/job-index-ignored-failure-count";
  assert.deepEqual(failureAnnotations(spec, undefined), { [counted]: "0" });
  assert.deepEqual(failureAnnotations(spec, failed("a", { annotations: once })), { [counted]: "2" });
  assert.deepEqual(failureAnnotations(spec, failed("a", { exitCode: 3, annotations: once })), {
    [counted]: "1",
    [ignored]: "1",
  });
  const older = failed("older", { index: 0 });
  const younger = failed("younger", { index: 0, annotations: once });
  assert.equal(plan(spec, [younger, older]).predecessors.get(0)?.metadata.name, "younger");
});

test("a rule FailIndex fails the index without a retry, and one that ignores never does", () => {
  const rules = [...onExit("FailIndex", 42).rules, ...onExit("Ignore", 3).rules];
  const spec = { backoffLimitPerIndex: 1, backoffLimit: 100, podFailurePolicy: { rules } };
  const { status } = plan(indexedJob(spec), [
    failed("work-0", { index: 0, exitCode: 42 }),
    failed("work-1", { index: 1, exitCode: 3, annotations: once }),
  ]);
  assert.equal(status.failedIndexes, "0");
});

test("a Job fails as soon as more indexes have failed than maxFailedIndexes", () => {
  const spec = { completions: 5, parallelism: 5, backoffLimitPerIndex: 0, backoffLimit: 100, maxFailedIndexes: 1 };
  const one = failed("work-0", { index: 0 });
  assert.equal(end(plan(indexedJob(spec), [one, indexed(1, "Running")])), "goes on");
  const stopped = plan(indexedJob(spec), [one, failed("work-2", { index: 2 }), indexed(1, "Running")]);
  assert.deepEqual([end(stopped), namesOf(stopped.remove)], ["FailureTarget: MaxFailedIndexesExceeded", ["work-1"]]);
});

test("an index that succeeded has not failed", () => {
  const spec = { backoffLimitPerIndex: 0, backoffLimit: 100 };
  assert.equal(plan(indexedJob(spec), [failed("work-0", { index: 0 }), indexed(0)]).status.failedIndexes, "");
});

test("a success policy is met by given indexes, by a number of any indexes, or by a number of the given ones", () => {
  const met = (rules: NonNullable<JobSpec["successPolicy"]>["rules"], ...indexes: number[]): string =>
    end(
      plan(
        indexedJob({ completions: 10, successPolicy: { rules } }),
        indexes.map((index) => indexed(index)),
      ),
    );
  assert.equal(met([{ succeededIndexes: "0,2-3" }], 0, 2), "goes on");
  assert.equal(met([{ succeededIndexes: "0,2-3" }], 0, 2, 3), "Complete: SuccessPolicy");
  assert.equal(met([{ succeededCount: 2 }], 7), "goes on");
  assert.equal(met([{ succeededCount: 2 }], 7, 9), "Complete: SuccessPolicy");
  assert.equal(met([{ succeededIndexes: "0-4", succeededCount: 2 }], 1, 7), "goes on");
  assert.equal(met([{ succeededIndexes: "0-4", succeededCount: 2 }], 1, 4), "Complete: SuccessPolicy");
  assert.equal(met([{ succeededCount: 0 }]), "goes on");
});

test("a Job that has met its success policy stops the other pods, which do not count as failed", () => {
  const successPolicy = { rules: [{ succeededIndexes: "1" }, { succeededIndexes: "0" }] };
  const met = plan(indexedJob({ successPolicy }), [indexed(0), indexed(1, "Running")]);
  assert.deepEqual([end(met), namesOf(met.remove)], ["SuccessCriteriaMet: SuccessPolicy", ["work-1"]]);
  assert.equal(met.status.conditions?.at(-1)?.message, "Matched rules at index 1");
  const done = plan(indexedJob({ successPolicy }, met.status), [indexed(0)]).status;
  assert.deepEqual([done.conditions?.at(-1)?.type, done.failed, done.succeeded], ["Complete", 0, 1]);
});

test("indexes are read as they are written, up to the completions", () => {
  for (const text of ["", "0", "0,1", "0-2,5,7-9"]) assert.equal(formatIndexes(parseIndexes(text, 10)), text);
  assert.deepEqual(parseIndexes("1-3,8-20,x", 10), [1, 2, 3, 8, 9]);
});

test("a success policy may name more indexes than fit into memory", () => {
  const wanted = (succeededCount?: number) =>
    plan(
      indexedJob({
        completions: 2_147_483_647,
        successPolicy: {
          rules: [{ succeededIndexes: "0-2147483646", ...(succeededCount === undefined ? {} : { succeededCount }) }],
        },
      }),
      [indexed(0), indexed(1, "Running")],
    );
  assert.deepEqual(
    [end(wanted(1)), end(wanted(2)), end(wanted())],
    ["SuccessCriteriaMet: SuccessPolicy", "goes on", "goes on"],
  );
});

test("a status that names more indexes than fit into memory is read up to a limit", () => {
  assert.equal(parseIndexes("0-2147483646,0-2147483646", 2_147_483_647).length, 100_000);
});
