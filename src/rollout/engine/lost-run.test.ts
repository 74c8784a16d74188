// Tests a Canary of a Deployment that has lost its journal. The engine undoes the changes that the objects and the plan
// show.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { parseCanary, type Canary, type JournalEntry, type RolloutStatus } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { undoOrder } from "../act/undo-order.ts";
import { ObjectAccess } from "../act/object-access.ts";
import { fakeView, standingClock } from "../observe/checks/testing/fake-mesh.ts";
import type { ClusterView } from "../observe/cluster-view.ts";
import { lostValues } from "../observe/lost-journal/lost-values.ts";
import { Planner } from "./planner.ts";

const template = (image: string): Tree => ({
  metadata: { labels: { app: "web" } },
  spec: { containers: [{ name: "web", image }] },
});
const claim = (manager: string, fieldsV1: Tree = {}): Tree => ({ manager, operation: "Update", fieldsV1 });
const object = (kind: string, name: string, managers: readonly Tree[], more: Tree = {}): UntypedObject =>
  ({
    kind,
    metadata: { name, namespace: "shop", uid: `uid of ${name}`, managedFields: managers },
    ...more,
  }) as unknown as UntypedObject;

const engine = claim("serin-rollout");
const holder = "rollout.serin.dev/held-by";
const destination = (subset: string, weight?: number): Tree => ({
  destination: { host: "web.shop.svc.cluster.local", subset },
  ...(weight === undefined ? {} : { weight }),
});
const toStable = [{ name: "canary", route: [destination("stable")] }];
const toBoth = [{ name: "canary", route: [destination("stable", 75), destination("canary", 25)] }];

function midRun(image = "web:2"): UntypedObject[] {
  const held = claim("serin-rollout", {
    "f:metadata": { "f:annotations": { [`f:${holder}`]: {} } },
    "f:spec": { "f:paused": {} },
  });
  const deployment = object("Deployment", "web", [claim("kubectl"), held], {
    spec: { replicas: 4, paused: true, selector: { matchLabels: { app: "web" } }, template: template(image) },
  });
  const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "uid of web", controller: true };
  const set = object("ReplicaSet", "web-1", [], { spec: { replicas: 4, template: template("web:1") } });
  return [
    { ...deployment, metadata: { ...deployment.metadata, annotations: { [holder]: "web" } } },
    { ...set, metadata: { ...set.metadata, ownerReferences: [owner], labels: { "pod-template-hash": "1" } } },
    object("Service", "web", [claim("kubectl")], { spec: { ports: [{ port: 80 }], selector: { app: "web" } } }),
    object("DestinationRule", "web-canary", [engine]),
    object("VirtualService", "web-canary", [engine], { spec: { http: toBoth } }),
    object("Deployment", "web-canary", [engine, claim("kube-controller-manager")]),
  ].map((each) => (each.metadata.name === "web-canary" ? withLabel(each) : each));
}

function withLabel(each: UntypedObject): UntypedObject {
  const labels = { "app.kubernetes.io/managed-by": "serin-rollout", "rollout.serin.dev/copy": "canary" };
  return { ...each, metadata: { ...each.metadata, labels } };
}

const names = [
  "Deployment shop/web",
  "VirtualService shop/web-canary",
  "Deployment shop/web-canary",
  "HTTPRoute shop/api",
];

/** The derived entries, in the order in which undo restores them. Undefined if the plan shows too little. */
async function derived(found: readonly UntypedObject[], status: Partial<RolloutStatus>) {
  const client = {
    get: async ({ kind }: Tree, name: string) =>
      await Promise.resolve(found.find((each) => each.kind === kind && each.metadata.name === name)),
    list: async ({ kind }: Tree) => await Promise.resolve({ items: found.filter((each) => each.kind === kind) }),
    raw: async () => await Promise.resolve({ status: 404, text: "" }),
  } as unknown as KubeClient;
  const { value, errors } = parseCanary({
    metadata: { name: "web", namespace: "shop" },
    spec: { target: { deployment: { name: "web", service: "web" } }, steps: [{ weight: 25 }, { weight: 100 }] },
  });
  assert.deepEqual(errors, []);
  const canary = { ...(value as Canary), status: { completedSteps: [], ...status } } as Canary;
  const none = { namespaces: { get: () => undefined } };
  const view: ClusterView = Object.assign(fakeView([]), none as object);
  const objects = new ObjectAccess(client);
  const planner = new Planner({ client, objects, view, clock: standingClock(), image: { hub: "serin", tag: "1" } });
  const move = await planner.lostRun(canary);
  if (move === undefined) return undefined;
  const { entries, left } = await lostValues(objects, { objects: names }, move);
  return { undone: undoOrder(entries).map(shown), left };
}

function shown(entry: JournalEntry): unknown {
  const name = `${entry.object.kind} ${entry.object.name}${entry.setup === true ? " (setup)" : ""}`;
  if (entry.type !== "field") return `${name} ${entry.type}`;
  return [`${name} ${entry.pointer}${entry.adopted === true ? " (adopted)" : ""}`, entry.written, entry.prior];
}

const setup = [
  "VirtualService web-canary (setup) created",
  "DestinationRule web-canary (setup) created",
  ["Deployment web (setup) /spec/paused", true, undefined],
  ["Deployment web (setup) /metadata/annotations/rollout.serin.dev~1held-by", "web", undefined],
];
const run = [
  ["VirtualService web-canary /spec/http", toBoth, toStable],
  "Deployment web-canary created",
  ["Deployment web /spec/template (adopted)", template("web:2"), template("web:1")],
];
const left = ["HTTPRoute shop/api (it does not exist; the rollout may have deleted it)"];
const underWay = { phase: "Stuck", run: 1, startedAt: "2026-01-01T00:00:00Z" } as const;

test("requests return to the stable pods before the copy goes, and then the template and what holds the Deployment", async () => {
  const seen = (await derived(midRun(), underWay))?.undone ?? [];
  assert.deepEqual(seen[0], run[0], "no request may reach a copy that is gone");
  assert.deepEqual(
    seen,
    [...run, ...setup].filter((each) => typeof each !== "string"),
    "objects stay while something is left",
  );
  const whole = await derived([...midRun(), object("HTTPRoute", "api", [engine])], underWay);
  assert.deepEqual(whole, { undone: ["HTTPRoute api created", ...run, ...setup], left: [] });
});

test("between runs, the template is the user's, and only what holds and divides the Deployment is undone", async () => {
  const found = midRun("web:3").filter(({ kind, metadata }) => kind !== "Deployment" || metadata.name === "web");
  const rests = found.map((each) => (each.kind === "VirtualService" ? { ...each, spec: { http: toStable } } : each));
  const at = { phase: "Watching", run: 1, startedAt: "2026-01-01T00:00:00Z" } as const;
  const seen = await derived([...rests, object("HTTPRoute", "api", [engine])], at);
  assert.deepEqual(seen, { undone: ["HTTPRoute api created", ...setup], left: [] });
});

test("once the Deployment has begun to roll, and without the Deployment, nothing is derived", async () => {
  const rolling = { id: "promote-roll", settledForMs: 0 } as unknown as NonNullable<RolloutStatus["step"]>;
  assert.equal(await derived(midRun(), { ...underWay, step: rolling }), undefined);
  const done = [{ id: "promote-roll" }] as unknown as RolloutStatus["completedSteps"];
  assert.equal(await derived(midRun(), { ...underWay, phase: "RollingBack", completedSteps: done }), undefined);
  assert.equal(await derived([], underWay), undefined);
  assert.deepEqual((await derived(midRun(), underWay))?.left.slice(0, 1), left);
});
