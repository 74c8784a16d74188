import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment } from "../../../api/kubernetes/index.ts";
import type { JournalEntry, MeshUpgrade } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { reference } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { gatewayPods, LeftCanaries } from "./left-canaries.ts";
import { PriorValues } from "./prior-values.ts";

const upgrade = {
  metadata: { name: "again", uid: "again" },
  spec: { from: { revision: "old" }, to: { revision: "new" } },
} as unknown as MeshUpgrade;
const edge = reference("apps/v1", "Deployment", "edge", "shop");
const canary = reference("apps/v1", "Deployment", "edge-new", "shop");
const gateway = reference("gateway.networking.k8s.io/v1", "Gateway", "front", "shop");
const deployment = (name: string, replicas: number, canaryOf?: string): object => ({
  metadata: {
    name,
    namespace: "shop",
    labels: canaryOf === undefined ? {} : { "rollout.serin.dev/canary-of": canaryOf },
  },
  spec: { replicas },
});
const canariesOf = (deployments: readonly object[], journal: readonly JournalEntry[] = []): LeftCanaries => {
  const all = deployments as readonly Deployment[];
  const view = {
    deployments: {
      list: () => all,
      get: (key: string) => all.find(({ metadata }) => `shop/${metadata.name ?? ""}` === key),
    },
  } as unknown as ClusterView;
  return new LeftCanaries({ view, upgrade, prior: new PriorValues(journal) });
};
const refusalOf = async (canaries: LeftCanaries, others: readonly object[] = []): Promise<string | undefined> => {
  const client = { list: async () => await Promise.resolve({ items: [upgrade, ...others] }) } as unknown as KubeClient;
  return await canaries.refuse(client).then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
};

test("an upgrade knows the pods of a canary that it has found, from its begin to its end, and not those that it has made", () => {
  const made: JournalEntry = { type: "created", step: "10/pods", object: canary };
  const scaled: JournalEntry = { type: "field", step: "s", object: canary, pointer: "/spec/replicas", prior: 2 };
  const body = { metadata: { name: "edge-new" }, spec: { replicas: 3 } };
  const deleted: JournalEntry = { type: "deleted", step: "done", object: canary, body };
  const found = [deployment("edge", 2), deployment("edge-new", 3, "edge"), deployment("cart-new", 3, "cart")];
  assert.equal(canariesOf([deployment("edge", 2)]).beside(edge), undefined);
  assert.equal(canariesOf(found).beside(edge)?.pods, 3);
  assert.equal(canariesOf(found, [scaled]).beside(edge)?.pods, 2);
  assert.equal(canariesOf([], [scaled, deleted]).beside(edge)?.pods, 2);
  assert.equal(canariesOf([], [deleted]).beside(edge)?.pods, 3);
  assert.equal(canariesOf(found, [made]).beside(edge), undefined);
  assert.equal(canariesOf([], [made, deleted]).beside(edge), undefined);
});

test("the annotations of a Gateway say what an earlier upgrade has left", () => {
  const [revision, replicas] = ["rollout.serin.dev/canary-revision", "rollout.serin.dev/canary-replicas"];
  const at = (key: string): string => `/metadata/annotations/${key.replace("/", "~1")}`;
  const podsOf = (present: Readonly<Record<string, string>>, journal: readonly JournalEntry[] = []) =>
    canariesOf([], journal).ofGateway(gateway, present)?.pods;
  const field = (key: string, prior?: string): JournalEntry => ({
    type: "field",
    step: "s",
    object: gateway,
    pointer: at(key),
    ...(prior === undefined ? {} : { prior }),
  });
  assert.equal(podsOf({}), undefined);
  assert.equal(podsOf({ [revision]: "new", [replicas]: "2" }), 2);
  assert.equal(podsOf({ [revision]: "new", [replicas]: "many" }), 1);
  assert.equal(podsOf({ [revision]: "new", [replicas]: "4" }, [field(replicas, "2")]), 2);
  assert.equal(podsOf({}, [field(replicas, "2"), field(revision, "new")]), 2);
  assert.equal(podsOf({ [revision]: "new", [replicas]: "4" }, [field(replicas), field(revision)]), undefined);
});

test("an upgrade refuses what it cannot take over, with the commands that remove it, unless another upgrade moves it", async () => {
  const foreign = canariesOf([deployment("edge", 2), deployment("edge-new", 3)]);
  foreign.beside(edge);
  assert.match(
    (await refusalOf(foreign)) ?? "",
    /^Deployment shop\/edge-new exists already, .* beside shop\/edge; rename it/,
  );
  const older = canariesOf([deployment("edge", 2), deployment("edge-older", 3, "edge")]);
  older.beside(edge);
  assert.match(
    (await refusalOf(older)) ?? "",
    /^Deployment shop\/edge-older, .* runs 3 pods of the gateway shop\/edge, .* delete deployment edge-older$/,
  );
  const running = { metadata: { name: "first", uid: "first" }, status: { phase: "Judging", startedAt: "2026" } };
  assert.equal(await refusalOf(older, [running]), undefined, "this one waits for it");
  assert.ok(await refusalOf(older, [{ ...running, status: { ...running.status, phase: "Completed" } }]));
  const annotated = canariesOf([]);
  assert.equal(annotated.ofGateway(gateway, { "rollout.serin.dev/canary-revision": "older" }), undefined);
  assert.match(
    (await refusalOf(annotated)) ?? "",
    /^Gateway shop\/front has a canary of older, .* annotate gateways\.gateway\.networking\.k8s\.io front rollout\.serin\.dev\/canary-revision- /,
  );
  const own = canariesOf([deployment("edge-new", 3, "edge")]);
  own.beside(edge);
  assert.equal(await refusalOf(own), undefined);
});

test("the canary says how many pods its gateway had before, from the begin of the upgrade to its end", () => {
  const before = "rollout.serin.dev/replicas-before-canary";
  const pointer = `/metadata/annotations/${before.replace("/", "~1")}`;
  const noted = (object: typeof edge, prior?: string): JournalEntry => ({
    type: "field",
    step: "s",
    object,
    pointer,
    ...(prior === undefined ? {} : { prior }),
  });
  const left = deployment("edge-new", 1, "edge") as Deployment;
  const marked = (value: string) => ({ ...left, metadata: { ...left.metadata, annotations: { [before]: value } } });
  const scaled: JournalEntry = { type: "field", step: "s", object: canary, pointer: "/spec/replicas", prior: 1 };
  const beside = (value: string, journal: readonly JournalEntry[] = []) =>
    canariesOf([marked(value)], journal).beside(edge);
  assert.deepEqual(beside("4"), { pods: 1, before: 4 });
  assert.deepEqual(beside("many"), { pods: 1 });
  assert.deepEqual(beside("5", [scaled, noted(canary, "4")]), { pods: 1, before: 4 });
  assert.deepEqual(beside("5", [scaled, noted(canary)]), { pods: 1 }, "an earlier release has left it");
  const present = { "rollout.serin.dev/canary-revision": "new", [before]: "4" };
  assert.deepEqual(canariesOf([]).ofGateway(gateway, present), { pods: 1, before: 4 });
  assert.deepEqual(canariesOf([], [noted(gateway, "3")]).ofGateway(gateway, present), { pods: 1, before: 3 });
});

test("a gateway ends with the pods that it had before its canary, or with those that a person has given it since", () => {
  const pods = (stable: number, canary: number, before?: number): number =>
    gatewayPods(stable, { pods: canary, ...(before === undefined ? {} : { before }) });
  assert.equal(pods(4, 1, 4), 4, "no pod of its own was removed yet");
  assert.equal(pods(3, 2, 4), 4, "the canary has grown, and no more pods were removed yet");
  assert.deepEqual([pods(2, 2, 4), pods(0, 4, 4), pods(1, 1, 1)], [4, 4, 1]);
  assert.equal(pods(6, 1, 4), 6, "a person, or a GitOps controller, has scaled its own Deployment up");
  assert.equal(pods(2, 1, 4), 3, "a person has scaled one of the Deployments down");
  assert.deepEqual([pods(0, 6, 4), pods(2, 6, 4)], [6, 8], "a person has scaled the canary up");
  assert.deepEqual([pods(7, 3, 0), pods(0, 3, 0)], [7, 3], "an autoscaler decided the number");
  assert.deepEqual([pods(3, 2), pods(0, 4)], [5, 4], "an earlier release has not said how many there were");
});

test("a canary beside a gateway that an earlier upgrade has moved is known, and other canaries do not matter there", async () => {
  const older = canariesOf([deployment("edge-older", 3, "edge")]);
  assert.equal(older.besideMoved(edge), undefined);
  assert.equal(older.ofMovedGateway(gateway, { "rollout.serin.dev/canary-revision": "older" }), undefined);
  assert.equal(await refusalOf(older), undefined);
  const own = canariesOf([deployment("edge-new", 3, "edge")]);
  assert.deepEqual(own.besideMoved(edge), { pods: 3 });
  assert.deepEqual(own.ofMovedGateway(gateway, { "rollout.serin.dev/canary-revision": "new" }), { pods: 1 });
  assert.equal(canariesOf([deployment("edge-new", 3)]).besideMoved(edge), undefined, "it is no canary");
});
