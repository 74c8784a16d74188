import assert from "node:assert/strict";
import { test } from "node:test";
import {
  controllerRevisionKind,
  daemonSetKind,
  type DaemonSet,
  type PodTemplate,
} from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { namesOf } from "../testing/make-pod.ts";
import { hashOf, RevisionHistory, type Revisions } from "./controller-revisions.ts";

const template = (image: string): PodTemplate => ({
  metadata: { labels: { app: "agent" } },
  spec: { containers: [{ name: "app", image }] },
});
const owner: DaemonSet = { metadata: { name: "agent", namespace: "shop", uid: "owner" } };

interface Bench {
  readonly cluster: HandCluster;
  readonly sync: (image: string) => Promise<Revisions>;
  readonly history: RevisionHistory;
}

function bench(): Bench {
  const cluster = new HandCluster();
  const history = new RevisionHistory(cluster.context, daemonSetKind);
  return { cluster, history, sync: (image) => history.sync(owner, template(image)) };
}

const numbers = ({ all }: Revisions): number[] => all.map(({ revision }) => revision);

test("each new template has a revision with the next number, named after the owner and the template's hash", async () => {
  const { sync } = bench();
  const first = await sync("app:1");
  assert.equal(first.current.metadata.name, `agent-${hashOf(first.current)}`);
  assert.deepEqual(
    first.current.metadata.ownerReferences?.map(({ kind, uid }) => [kind, uid]),
    [["DaemonSet", "owner"]],
  );
  assert.deepEqual(numbers(await sync("app:2")), [1, 2]);
});

test("a revision stores the template as the patch that kubectl rollout undo applies", async () => {
  const { current } = await bench().sync("app:1");
  assert.deepEqual(current.data, { spec: { template: { ...template("app:1"), $patch: "replace" } } });
});

test("an unchanged template makes no further revision", async () => {
  const { cluster, sync } = bench();
  await sync("app:1");
  await sync("app:1");
  assert.equal(cluster.all(controllerRevisionKind).length, 1);
  assert.equal(cluster.writes.length, 1);
});

test("a return to a former template gives its revision the next number, and makes no new one", async () => {
  const { cluster, sync } = bench();
  const first = await sync("app:1");
  await sync("app:2");
  const back = await sync("app:1");
  assert.equal(back.current.metadata.name, first.current.metadata.name);
  assert.deepEqual(numbers(back), [2, 3]);
  assert.equal(cluster.all(controllerRevisionKind).length, 2);
});

test("another owner's revision of the same name makes the hash differ", async () => {
  const { cluster, sync } = bench();
  const name = (await sync("app:1")).current.metadata.name ?? "";
  const other = bench();
  other.cluster.put(controllerRevisionKind, { metadata: { name, namespace: "shop" }, data: {}, revision: 1 });
  const { current } = await other.sync("app:1");
  assert.notEqual(current.metadata.name, name);
  assert.match(current.metadata.name ?? "", /^agent-[bcdfghjklmnpqrstvwxz2456789]{10}$/);
  assert.deepEqual(cluster.writes.length, 1);
});

test("the oldest revisions beyond the limit are deleted, but not the current one or those that pods use", async () => {
  const { cluster, history, sync } = bench();
  const made: string[] = [];
  let last = await sync("app:0");
  made.push(hashOf(last.current));
  for (const image of ["app:1", "app:2", "app:3", "app:4"]) made.push(hashOf((last = await sync(image)).current));
  await history.trim(last, new Set([made[0] ?? ""]), 1);
  assert.deepEqual(
    namesOf(cluster.all(controllerRevisionKind)),
    [0, 3, 4].map((index) => `agent-${made[index]}`),
  );
});

test("revisions of other owners are ignored", async () => {
  const { cluster, history, sync } = bench();
  await sync("app:1");
  const other: DaemonSet = { metadata: { name: "other", namespace: "shop", uid: "other" } };
  assert.deepEqual(numbers(await history.sync(other, template("app:1"))), [1]);
  assert.equal(cluster.all(controllerRevisionKind).length, 2);
});
