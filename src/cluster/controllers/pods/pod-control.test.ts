import assert from "node:assert/strict";
import { test } from "node:test";
import { podKind, replicaSetKind, type Pod, type ReplicaSet } from "../../../api/kubernetes/index.ts";
import { userError } from "../../../base/index.ts";
import { ownerReference } from "../../../kube/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { inBatches, PodControl } from "./pod-control.ts";

const labels = { app: "web" };
const selector = { matchLabels: labels };

interface Stage {
  readonly cluster: HandCluster;
  readonly control: PodControl;
  readonly owner: ReplicaSet;
}

/** A cluster with a ReplicaSet. */
function stage(metadata: Partial<ReplicaSet["metadata"]> = {}): Stage {
  const cluster = new HandCluster();
  const control = new PodControl({ context: cluster.context, ownerKind: replicaSetKind, component: "test" });
  const owner = cluster.put(replicaSetKind, {
    metadata: { name: "web", namespace: "default", uid: "owner", ...metadata },
    spec: { selector, template: {} },
  });
  return { cluster, control, owner };
}

const owned = (pod: Pod, owner: ReplicaSet): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, ownerReferences: [ownerReference(replicaSetKind, owner)] },
});
const ownersOf = (cluster: HandCluster, name: string): string[] =>
  (cluster.all(podKind).find(({ metadata }) => metadata.name === name)?.metadata.ownerReferences ?? []).map(
    ({ uid }) => uid,
  );

test("created and deleted pods are reported by events of their owner", async () => {
  const { cluster, control, owner } = stage();
  await control.createAll(owner, [makePod("a"), makePod("b")]);
  await control.deleteAll(owner, [makePod("a")]);
  assert.deepEqual(namesOf(cluster.all(podKind)), ["b"]);
  assert.deepEqual(cluster.events, ["SuccessfulCreate", "SuccessfulCreate", "SuccessfulDelete"]);
  assert.deepEqual(cluster.notes, ["Created pod: a", "Created pod: b", "Deleted pod: a"]);
});

test("a refused pod is reported by an event with the server's message, and fails the work", async () => {
  const { cluster, control, owner } = stage();
  cluster.refusals.set("create Pod", userError("forbidden", "exceeded quota: few"));
  await assert.rejects(control.createAll(owner, [makePod("a")]), /exceeded quota/);
  assert.deepEqual([cluster.events, cluster.notes], [["FailedCreate"], ["Error creating: exceeded quota: few"]]);
});

test("a pod that is being deleted is not deleted again", async () => {
  const { cluster, control, owner } = stage();
  await control.deleteAll(owner, [makePod("a", { deleted: true })]);
  assert.deepEqual([cluster.writes, cluster.events], [[], []]);
});

test("a pod is deleted by its uid, so that a new one of its name stays", async () => {
  const { cluster, control, owner } = stage();
  const before = makePod("a");
  cluster.put(podKind, { ...before, metadata: { ...before.metadata, uid: "successor" } });
  await control.deleteAll(owner, [before]);
  assert.deepEqual(
    cluster.all(podKind).map(({ metadata }) => metadata.uid),
    ["successor"],
  );
});

test("orphans that match the selector are adopted, and owned pods that no longer match are released", async () => {
  const { cluster, control, owner } = stage();
  cluster.put(podKind, makePod("orphan", { labels }));
  cluster.put(podKind, makePod("stranger", { labels: { app: "other" } }));
  cluster.put(podKind, owned(makePod("relabelled", { labels: { app: "debug" } }), owner));
  cluster.put(podKind, owned(makePod("mine", { labels }), owner));
  assert.deepEqual(namesOf(await control.claim(owner, selector)).sort(), ["mine", "orphan"]);
  assert.deepEqual(
    ["orphan", "stranger", "relabelled", "mine"].map((name) => ownersOf(cluster, name)),
    [["owner"], [], [], ["owner"]],
  );
});

test("pods of another owner, of another namespace and pods that are being deleted are not adopted", async () => {
  const { cluster, control, owner } = stage();
  const other = { ...owner, metadata: { ...owner.metadata, name: "other", uid: "other" } };
  const elsewhere = makePod("elsewhere", { labels });
  cluster.put(podKind, owned(makePod("taken", { labels }), other));
  cluster.put(podKind, { ...elsewhere, metadata: { ...elsewhere.metadata, namespace: "shop" } });
  cluster.put(podKind, makePod("going", { labels, deleted: true }));
  assert.deepEqual([await control.claim(owner, selector), cluster.writes], [[], []]);
});

test("an owner that is being deleted neither adopts nor releases", async () => {
  const { cluster, control, owner } = stage({ deletionTimestamp: "2026-01-01T00:00:00Z" });
  cluster.put(podKind, makePod("orphan", { labels }));
  cluster.put(podKind, owned(makePod("relabelled"), owner));
  cluster.put(podKind, owned(makePod("mine", { labels }), owner));
  assert.deepEqual(namesOf(await control.claim(owner, selector)), ["mine"]);
  assert.deepEqual(cluster.writes, []);
});

test("an orphan that is deleted before its adoption does not become the owner's pod", async () => {
  const { cluster, control, owner } = stage();
  cluster.put(podKind, makePod("orphan", { labels }));
  cluster.unseen.set("Pod/default/orphan", undefined);
  assert.deepEqual(await control.claim(owner, selector), []);
});

test("an owner that no longer exists, or is being deleted, adopts no pods", async () => {
  for (const found of ["nothing", "successor", "terminating"] as const) {
    const { cluster, control, owner } = stage();
    cluster.put(podKind, makePod("orphan", { labels }));
    const metadata =
      found === "successor"
        ? { ...owner.metadata, uid: "successor" }
        : { ...owner.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" };
    cluster.unseen.set("ReplicaSet/default/web", found === "nothing" ? undefined : { ...owner, metadata });
    assert.deepEqual([await control.claim(owner, selector), cluster.writes], [[], []], found);
  }
});

test("a pod that cannot be deleted is reported by an event, and fails the work", async () => {
  const { cluster, control, owner } = stage();
  cluster.refusals.set("delete Pod", userError("forbidden", "a webhook says no"));
  await assert.rejects(control.deleteAll(owner, [makePod("a")]), /says no/);
  assert.deepEqual([cluster.events, cluster.notes], [["FailedDelete"], ["Error deleting: a webhook says no"]]);
});

test("a namespace that is being deleted accepts no pods, which is neither a failure nor an event", async () => {
  const { cluster, control, owner } = stage();
  cluster.refusals.set("create Pod", userError("forbidden", "it ends", { reason: "NamespaceTerminating" }));
  await control.createAll(owner, [makePod("a")]);
  assert.deepEqual(cluster.events, []);
});

test("if a pod is refused, further pods of the same batch are neither tried nor reported", async () => {
  const { cluster, control, owner } = stage();
  cluster.refusals.set("create Pod", userError("forbidden", "exceeded quota: few"));
  const pods = Array.from({ length: 20 }, (_, index) => makePod(`p-${index}`));
  await assert.rejects(control.createAll(owner, pods), /exceeded quota/);
  assert.deepEqual(cluster.events, ["FailedCreate"]);
});

test("at most sixteen writes are under way at once, and the first failure ends the work after its batch", async () => {
  const started: number[] = [];
  const items = Array.from({ length: 40 }, (_, index) => index);
  await assert.rejects(
    inBatches(items, async (item) => {
      started.push(item);
      if (item === 3) throw new Error("no room");
    }),
    /no room/,
  );
  assert.equal(started.length, 16);
});

test("batches double from the given size up to sixteen", async () => {
  let underWay = 0;
  let most = 0;
  const sizes: number[] = [];
  const items = Array.from({ length: 50 }, (_, index) => index);
  const run = async (): Promise<void> => {
    most = Math.max(most, (underWay += 1));
    await Promise.resolve();
    underWay -= 1;
    if (underWay === 0) {
      sizes.push(most);
      most = 0;
    }
  };
  await inBatches(items, run, 1);
  assert.deepEqual(sizes, [1, 2, 4, 8, 16, 16, 3]);
});
