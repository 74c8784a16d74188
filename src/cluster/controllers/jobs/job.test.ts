import assert from "node:assert/strict";
import { test } from "node:test";
import { jobKind, podKind, type Job, type JobSpec, type Pod } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { namesOf } from "../testing/make-pod.ts";
import { completionIndexAnnotation } from "./job-indexes.ts";
import { addJobController } from "./job.ts";

/** A cluster with a Job. */
async function start(spec: Partial<JobSpec>): Promise<HandCluster> {
  const cluster = new HandCluster("2026-01-01T12:00:00Z");
  let drawn = 0;
  // Make the generated names differ.
  Object.assign(cluster.context, { random: () => ((drawn += 1) % 27) / 27 });
  addJobController(cluster.context);
  const template = { spec: { containers: [{ name: "app", image: "a" }], restartPolicy: "Never" as const } };
  cluster.put(jobKind, {
    metadata: { name: "work", namespace: "default", uid: "job" },
    spec: { completions: 1, parallelism: 1, template, ...spec },
  });
  await cluster.settle();
  return cluster;
}

const podsOf = (cluster: HandCluster, index: number): Pod[] =>
  cluster.all(podKind).filter(({ metadata }) => metadata.annotations?.[completionIndexAnnotation] === String(index));
const jobOf = (cluster: HandCluster): Job | undefined => cluster.all(jobKind)[0];
const conditions = (cluster: HandCluster): string[] =>
  (jobOf(cluster)?.status?.conditions ?? []).map(({ type }) => type);
/** Lets a pod end. */
async function endPod(cluster: HandCluster, pod: Pod | undefined, exitCode: number): Promise<void> {
  const finishedAt = cluster.context.now();
  const state = { terminated: { exitCode, finishedAt } };
  const containerStatuses = [{ name: "app", ready: false, restartCount: 0, image: "", imageID: "", state }];
  cluster.put(podKind, {
    ...(pod as Pod),
    status: { phase: exitCode === 0 ? "Succeeded" : "Failed", containerStatuses },
  });
  await cluster.settle();
}

test("a Job ends with both conditions and one event when its pod has succeeded", async () => {
  const cluster = await start({});
  await endPod(cluster, cluster.all(podKind)[0], 0);
  assert.deepEqual(conditions(cluster), ["SuccessCriteriaMet", "Complete"]);
  assert.deepEqual(cluster.events, ["SuccessfulCreate", "Completed"]);
});

test("a Job that another controller manages gets neither pods nor a status, and is removed after its time", async () => {
  const cluster = await start({ managedBy: "example.com/queue", ttlSecondsAfterFinished: 60 });
  assert.deepEqual([cluster.all(podKind), jobOf(cluster)?.status], [[], undefined]);
  const complete = { type: "Complete" as const, status: "True" as const, lastTransitionTime: cluster.context.now() };
  cluster.put(jobKind, { ...(jobOf(cluster) as Job), status: { conditions: [complete] } });
  await cluster.settle();
  await cluster.pass(60_000);
  assert.deepEqual(cluster.all(jobKind), []);
  assert.equal((await start({ managedBy: "kubernetes.io/job-controller" })).all(podKind).length, 1);
});

test("the pods of an indexed Job know their index by annotation, label, host name and variable", async () => {
  const image = "a";
  const own = { name: "JOB_COMPLETION_INDEX", value: "own" };
  const spec = {
    containers: [{ name: "app", image }],
    initContainers: [
      { name: "first", image },
      { name: "second", image, env: [own] },
    ],
  };
  const cluster = await start({ completionMode: "Indexed", completions: 2, parallelism: 2, template: { spec } });
  const [pod] = podsOf(cluster, 1);
  assert.match(pod?.metadata.name ?? "", /^work-1-[a-z0-9]{5}$/);
  assert.equal(pod?.metadata.labels?.[completionIndexAnnotation], "1");
  assert.equal(pod.spec?.hostname, "work-1");
  const variable = { name: "JOB_COMPLETION_INDEX", value: "1" };
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  assert.deepEqual(
    all.map(({ env }) => env),
    [[variable], [variable], [own]],
  );
});

test("an index is tried again after its wait, with its failures, until its limit is reached", async () => {
  const limits = { backoffLimit: 100, backoffLimitPerIndex: 1 };
  const cluster = await start({ completionMode: "Indexed", completions: 2, parallelism: 2, ...limits });
  await endPod(cluster, podsOf(cluster, 0)[0], 1);
  assert.equal(podsOf(cluster, 0).length, 1);
  await cluster.pass(10_000);
  const [, second] = podsOf(cluster, 0);
  assert.equal(second?.metadata.annotations?.["batch.kubernetes.io/job-index-failure-count"], "1");
  await endPod(cluster, second, 1);
  assert.deepEqual([jobOf(cluster)?.status?.failedIndexes, conditions(cluster)], ["0", []]);
  await endPod(cluster, podsOf(cluster, 1)[0], 0);
  assert.deepEqual(conditions(cluster), ["FailureTarget", "Failed"]);
  assert.equal(cluster.events.at(-1), "FailedIndexes");
});

test("a Job that fails by its policy is Failed once its other pods are gone", async () => {
  const rules = [{ action: "FailJob" as const, onExitCodes: { operator: "In" as const, values: [42] } }];
  const cluster = await start({ completions: 2, parallelism: 2, podFailurePolicy: { rules } });
  const [first, second] = cluster.all(podKind);
  cluster.put(podKind, { ...second, metadata: { ...second?.metadata, finalizers: ["example.com/keep"] } });
  await endPod(cluster, first, 42);
  assert.deepEqual(conditions(cluster), ["FailureTarget"]);
  cluster.remove(podKind, `default/${second?.metadata.name ?? ""}`);
  await cluster.settle();
  assert.deepEqual([conditions(cluster), cluster.events.at(-1)], [["FailureTarget", "Failed"], "PodFailurePolicy"]);
  assert.equal(jobOf(cluster)?.status?.failed, 2);
});

test("an ended Job is deleted after ttlSecondsAfterFinished", async () => {
  const cluster = await start({ ttlSecondsAfterFinished: 60 });
  await endPod(cluster, cluster.all(podKind)[0], 0);
  await cluster.pass(59_000);
  assert.deepEqual(namesOf(cluster.all(jobKind)), ["work"]);
  await cluster.pass(1_000);
  assert.deepEqual(cluster.all(jobKind), []);
});
