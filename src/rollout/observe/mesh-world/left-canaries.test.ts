import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment } from "../../../api/kubernetes/index.ts";
import type { JournalEntry, MeshUpgrade } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { reference } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { LeftCanaries } from "./left-canaries.ts";
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
  assert.equal(canariesOf([deployment("edge", 2)]).podsBeside(edge), undefined);
  assert.equal(canariesOf(found).podsBeside(edge), 3);
  assert.equal(canariesOf(found, [scaled]).podsBeside(edge), 2);
  assert.equal(canariesOf([], [scaled, deleted]).podsBeside(edge), 2);
  assert.equal(canariesOf([], [deleted]).podsBeside(edge), 3);
  assert.equal(canariesOf(found, [made]).podsBeside(edge), undefined);
  assert.equal(canariesOf([], [made, deleted]).podsBeside(edge), undefined);
});

test("the annotations of a Gateway say what an earlier upgrade has left", () => {
  const [revision, replicas] = ["rollout.serin.dev/canary-revision", "rollout.serin.dev/canary-replicas"];
  const at = (key: string): string => `/metadata/annotations/${key.replace("/", "~1")}`;
  const podsOf = (present: Readonly<Record<string, string>>, journal: readonly JournalEntry[] = []) =>
    canariesOf([], journal).podsOf(gateway, present);
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
  foreign.podsBeside(edge);
  assert.match(
    (await refusalOf(foreign)) ?? "",
    /^Deployment shop\/edge-new exists already, .* beside shop\/edge; rename it/,
  );
  const older = canariesOf([deployment("edge", 2), deployment("edge-older", 3, "edge")]);
  older.podsBeside(edge);
  assert.match(
    (await refusalOf(older)) ?? "",
    /^Deployment shop\/edge-older, .* runs 3 pods of the gateway shop\/edge, .* delete deployment edge-older$/,
  );
  const running = { metadata: { name: "first", uid: "first" }, status: { phase: "Judging", startedAt: "2026" } };
  assert.equal(await refusalOf(older, [running]), undefined, "this one waits for it");
  assert.ok(await refusalOf(older, [{ ...running, status: { ...running.status, phase: "Completed" } }]));
  const annotated = canariesOf([]);
  assert.equal(annotated.podsOf(gateway, { "rollout.serin.dev/canary-revision": "older" }), undefined);
  assert.match(
    (await refusalOf(annotated)) ?? "",
    /^Gateway shop\/front has a canary of older, .* annotate gateways\.gateway\.networking\.k8s\.io front rollout\.serin\.dev\/canary-revision- /,
  );
  const own = canariesOf([deployment("edge-new", 3, "edge")]);
  own.podsBeside(edge);
  assert.equal(await refusalOf(own), undefined);
});
