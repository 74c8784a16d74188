import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, StatefulSet } from "../../../api/kubernetes/index.ts";
import { makePod, namesOf, type PodOptions } from "../testing/make-pod.ts";
import { isMember, ordinalOf, planStatefulSet, type StatefulSetPlan } from "./stateful-set-plan.ts";

const nowMs = Date.parse("2026-01-01T12:00:00Z");
const set = (replicas: number, spec: Partial<NonNullable<StatefulSet["spec"]>> = {}): StatefulSet => ({
  metadata: { name: "db", generation: 3 },
  spec: { replicas, selector: {}, template: {}, ...spec },
});
const partitioned = (partition: number): Partial<NonNullable<StatefulSet["spec"]>> => ({
  updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition } },
});
/** The pods `db-0`, `db-1` … of the old revision. `differences` contains options of single pods, by ordinal. */
const pods = (count: number, differences: Readonly<Record<number, PodOptions>> = {}): Pod[] =>
  Array.from({ length: count }, (_, ordinal) => makePod(`db-${ordinal}`, { hash: "old", ...differences[ordinal] }));
/** The plan for a set whose template has not changed. */
const keep = (wanted: StatefulSet, have: readonly Pod[]): StatefulSetPlan =>
  planStatefulSet(wanted, { current: "old", update: "old" }, have, nowMs);
/** The plan for a set with a new template. */
const update = (wanted: StatefulSet, have: readonly Pod[]): StatefulSetPlan =>
  planStatefulSet(wanted, { current: "old", update: "new" }, have, nowMs);
const ordinals = ({ create }: StatefulSetPlan): number[] => create.map(({ ordinal }) => ordinal);

test("pods are created one at a time, each when all earlier ones are ready", () => {
  assert.deepEqual(ordinals(keep(set(3), [])), [0]);
  assert.deepEqual(ordinals(keep(set(3), pods(1))), [1]);
  assert.deepEqual(ordinals(keep(set(3), pods(1, { 0: { ready: false } }))), []);
  assert.deepEqual(ordinals(keep(set(3), pods(1, { 0: { deleted: true } }))), []);
});

test("the next pod waits until the one before it is available", () => {
  const fresh = pods(1, { 0: { since: "2026-01-01T11:59:50Z" } });
  assert.deepEqual(ordinals(keep(set(2, { minReadySeconds: 30 }), fresh)), []);
  assert.deepEqual(ordinals(keep(set(2, { minReadySeconds: 10 }), fresh)), [1]);
});

test("the policy Parallel creates and removes all pods at once", () => {
  const parallel = (replicas: number): StatefulSet => set(replicas, { podManagementPolicy: "Parallel" });
  assert.deepEqual(ordinals(keep(parallel(3), pods(1, { 0: { ready: false } }))), [1, 2]);
  assert.deepEqual(namesOf(keep(parallel(1), pods(3)).remove), ["db-2", "db-1"]);
});

test("a gap is filled before pods after it", () => {
  assert.deepEqual(ordinals(keep(set(4), [pods(3)[0] as Pod, pods(3)[2] as Pod])), [1]);
});

test("a set that is scaled down removes the highest ordinal first, and waits until it is gone", () => {
  assert.deepEqual(namesOf(keep(set(1), pods(3)).remove), ["db-2"]);
  assert.deepEqual(
    namesOf(keep(set(1), pods(3, { 2: { deleted: true } })).remove).filter((name) => name !== "db-2"),
    [],
  );
});

test("a set that is scaled down waits while a remaining pod is not ready", () => {
  assert.deepEqual(namesOf(keep(set(1), pods(2, { 0: { ready: false } })).remove), []);
});

test("a pod that has ended is removed, so that its successor can take the name", () => {
  for (const phase of ["Failed", "Succeeded"] as const) {
    const { create, remove } = keep(set(1), pods(1, { 0: { phase, ready: false } }));
    assert.deepEqual([create, namesOf(remove)], [[], ["db-0"]]);
  }
});

test("ordinals begin where the set says, and pods before that are removed", () => {
  const shifted = set(2, { ordinals: { start: 5 } });
  assert.deepEqual(ordinals(keep(shifted, [])), [5]);
  const have = [makePod("db-4", { hash: "old" }), makePod("db-5", { hash: "old" }), makePod("db-6", { hash: "old" })];
  assert.deepEqual(namesOf(keep(shifted, have).remove), ["db-4"]);
});

test("an update replaces the highest ordinal first, and waits until it is ready", () => {
  assert.deepEqual(namesOf(update(set(3), pods(3)).remove), ["db-2"]);
  assert.deepEqual(namesOf(update(set(3), pods(3, { 2: { hash: "new", ready: false } })).remove), []);
  assert.deepEqual(namesOf(update(set(3), pods(3, { 2: { hash: "new" } })).remove), ["db-1"]);
});

test("pods below the partition keep the old template, even when they are created again", () => {
  assert.deepEqual(namesOf(update(set(2, partitioned(2)), pods(2)).remove), []);
  assert.deepEqual(namesOf(update(set(2, partitioned(1)), pods(2)).remove), ["db-1"]);
  assert.deepEqual(update(set(2, partitioned(1)), []).create, [{ ordinal: 0, hash: "old" }]);
  assert.deepEqual(update(set(2, partitioned(1)), pods(1)).create, [{ ordinal: 1, hash: "new" }]);
});

test("the strategy OnDelete does not replace old pods, and creates new ones from the new template", () => {
  const manual = set(2, { updateStrategy: { type: "OnDelete" } });
  assert.deepEqual(namesOf(update(manual, pods(2)).remove), []);
  assert.deepEqual(update(manual, pods(1)).create, [{ ordinal: 1, hash: "new" }]);
});

test("scaling comes before an update", () => {
  assert.deepEqual(namesOf(update(set(2), pods(3)).remove), ["db-2"]);
  assert.deepEqual(namesOf(update(set(2), pods(3, { 2: { deleted: true } })).remove).includes("db-1"), false);
});

test("the status has the current and the updated revision until the update is complete", () => {
  const midway = update(set(2), pods(2, { 1: { hash: "new" } })).status;
  assert.deepEqual(
    [midway.currentRevision, midway.updateRevision, midway.currentReplicas, midway.updatedReplicas],
    ["db-old", "db-new", 1, 1],
  );
  const done = update(set(2), pods(2, { 0: { hash: "new" }, 1: { hash: "new" } })).status;
  assert.deepEqual(
    [done.currentRevision, done.updateRevision, done.currentReplicas, done.updatedReplicas],
    ["db-new", "db-new", 2, 2],
  );
});

test("an update is not complete while a new pod is not ready", () => {
  const { status } = update(set(1), pods(1, { 0: { hash: "new", ready: false } }));
  assert.deepEqual([status.currentRevision, status.readyReplicas], ["db-old", 0]);
});

test("the ordinal is the number at the end of the name", () => {
  assert.equal(ordinalOf(makePod("db-12")), 12);
  assert.equal(ordinalOf(makePod("db-x")), -1);
});

test("an ordered update waits while any pod is not ready, even a pod that it has not reached", () => {
  assert.deepEqual(namesOf(update(set(3), pods(3, { 0: { ready: false } })).remove), []);
  // The pod of a broken template stays even after the template is repaired, until somebody deletes the pod. Kubernetes
  // documents this behaviour.
  assert.deepEqual(namesOf(update(set(2), pods(2, { 1: { hash: "broken", ready: false } })).remove), []);
});

test("a parallel update waits only for the pods that it has replaced", () => {
  const parallel = set(3, { podManagementPolicy: "Parallel" });
  assert.deepEqual(namesOf(update(parallel, pods(3, { 0: { ready: false } })).remove), ["db-2"]);
  assert.deepEqual(namesOf(update(parallel, pods(3, { 2: { hash: "new", ready: false } })).remove), []);
});

test("pods whose names do not belong to the set are ignored", () => {
  const others = [
    makePod("db-backup", { hash: "old" }),
    makePod("other-1", { hash: "old" }),
    makePod("db-x-7", { hash: "old" }),
  ];
  const { create, remove, status } = keep(set(2), [...pods(1), ...others]);
  assert.deepEqual([create.map(({ ordinal }) => ordinal), namesOf(remove), status.replicas], [[1], [], 1]);
  assert.deepEqual(
    [...pods(1), ...others].map((pod) => isMember(set(2), pod)),
    [true, false, false, false],
  );
});

test("a pod that is being deleted counts in the replicas until it is gone, but not for a revision", () => {
  const { replicas, readyReplicas, currentReplicas } = keep(set(1), pods(2, { 1: { deleted: true } })).status;
  assert.deepEqual([replicas, readyReplicas, currentReplicas], [2, 2, 1]);
  assert.equal(keep(set(0), pods(1, { 0: { deleted: true } })).status.replicas, 1);
});

test("a set of any size creates a bounded number of pods before it looks again", () => {
  const endless = 2 ** 31 - 1;
  const parallel = ordinals(keep(set(endless, { podManagementPolicy: "Parallel" }), pods(2)));
  assert.deepEqual([parallel.length, parallel[0]], [500, 2]);
  assert.deepEqual(ordinals(keep(set(endless), pods(1))), [1]);
});
