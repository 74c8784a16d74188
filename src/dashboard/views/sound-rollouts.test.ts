import assert from "node:assert/strict";
import { test } from "node:test";
import {
  rolloutOffers,
  type Canary,
  type Freeze,
  type MeshUpgrade,
  type RolloutJournal,
} from "../../api/serin/index.ts";
import { ladderView } from "./ladder.ts";
import { overviewView } from "./overview.ts";
import { rolloutView } from "./rollout.ts";
import { rolloutsView, type Rollout } from "./rollouts.ts";
import { deployment, input, namespace, pod } from "./testing/small-mesh.ts";

const status = {
  observedGeneration: 1,
  phase: "Paused",
  progress: "1/3",
  message: "m",
  startedAt: "2026-06-01T11:50:00Z",
  endedAt: "2026-06-01T11:57:00Z",
  cause: "c",
  rolledBackInMs: 5,
  run: 1,
  candidate: "x",
  weight: 50,
  namespaces: ["shop"],
  step: {
    id: "step-1",
    title: "10 %",
    startedAt: "2026-06-01T11:58:00Z",
    settledAt: "2026-06-01T11:58:00Z",
    waitingFor: ["a pod"],
    checks: [
      {
        type: "request-success-rate",
        verdict: "wait",
        evidence: "e",
        statistic: { inner: { gained: { canaryTotal: 100, canaryErrors: 1, stableTotal: 900, stableErrors: 0 } } },
      },
      {
        type: "request-duration",
        verdict: "pass",
        evidence: "",
        statistic: {
          inner: {
            bounds: [[10, 20, 40]],
            histograms: { allCanary: { in: 0, counts: [0, 100] }, allStable: { in: 0, counts: [100] } },
          },
        },
      },
      {
        type: "probe-matrix",
        verdict: "pass",
        evidence: "",
        matrix: {
          pairs: [
            {
              from: { revision: "a", dataPlane: "sidecar" },
              to: { revision: "b", dataPlane: "ambient" },
              ok: 1,
              failed: 0,
            },
          ],
        },
      },
    ],
  },
  completedSteps: [
    { id: "step-0", title: "0 %", startedAt: "2026-06-01T11:50:00Z", endedAt: "2026-06-01T11:57:00Z", evidence: ["e"] },
  ],
  plannedSteps: [
    { id: "step-0", title: "0 %", ordinal: 1 },
    { id: "step-1", title: "10 %" },
  ],
  undo: { startedAt: "2026-06-01T11:58:00Z", elapsedMs: 5, waitedMs: 5, waitingFor: ["w"], next: "RolledBack" },
  conditions: [
    { type: "Stuck", status: "True", reason: "Stuck", message: "", lastTransitionTime: "2026-06-01T11:58:00Z" },
  ],
};
const orders = {
  paused: false,
  abort: false,
  approvals: [{ step: "step-1", by: "ann", why: "w", at: "2026-06-01T11:59:00Z" }],
  checks: [{ type: "request-success-rate" }],
};
const canary = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "shop", namespace: "shop" },
  spec: {
    ...orders,
    target: {
      httpRoute: {
        name: "shop",
        rule: 0,
        stable: { name: "shop-v1", port: 80 },
        canary: { name: "shop-v2", port: 80 },
      },
    },
    steps: [{ weight: 10 }, { weight: 100 }],
  },
  status,
};
const upgrade = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "MeshUpgrade",
  metadata: { name: "up" },
  spec: {
    ...orders,
    from: { revision: "a" },
    to: { revision: "b" },
    scope: { namespaces: true },
    waves: [{ namespaces: ["shop"], checks: [] }],
  },
  status,
};
const freeze = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Freeze",
  metadata: { name: "now" },
  spec: {
    reason: "r",
    timeZone: "Europe/Berlin",
    windows: [{ start: "2026-06-01T13:00:00", end: "2026-06-01T15:00:00" }],
    kinds: ["Canary"],
    namespaces: ["shop"],
  },
};
const journal = {
  metadata: { name: "canary.shop.shop" },
  formatVersion: 2,
  entries: [
    {
      type: "field",
      step: "step-1",
      object: { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c" },
      pointer: "/a",
    },
  ],
  decisions: [{ at: "2026-06-01T11:58:00Z", run: 1, decision: "Started", message: "m", evidence: ["e"] }],
};

const garbage: readonly unknown[] = [undefined, null, "text", [null]];

/** Variants of the object, each with one part missing or of another type. */
function* spoiled(object: unknown, depth = 0): Generator<unknown> {
  if (typeof object !== "object" || object === null) return;
  for (const [key, value] of Object.entries(object)) {
    if (depth === 0 && key !== "spec" && key !== "status" && key !== "entries" && key !== "decisions") continue;
    const withPart = (part: unknown): unknown =>
      Array.isArray(object) ? object.with(Number(key), part) : { ...object, [key]: part };
    for (const part of typeof value === "object" ? garbage : [undefined, [null]]) yield withPart(part);
    for (const part of spoiled(value, depth + 1)) yield withPart(part);
  }
}

/** All views of the rollouts, with all orders, as the JSON that a page gets. */
function seen(objects: Parameters<typeof input>[0]): string {
  const given = input({
    namespaces: [namespace("shop", { "istio.io/rev": "a" })],
    deployments: [deployment("shop", "web", { app: "web" })],
    pods: [pod("shop", "web", { labels: { app: "web" }, containers: ["app", "istio-proxy"] })],
    ...objects,
  });
  const { canaries, upgrades, journals } = given.inventory.objects;
  const ofKind = (kind: "Canary" | "MeshUpgrade", rollouts: readonly Rollout[]): unknown[] =>
    rollouts.map((rollout) =>
      rolloutView(given, rollout, {
        actions: rolloutOffers(kind, rollout, { patch: true, replace: true }, journals[0]?.entries),
        visible: "*",
      }),
    );
  return JSON.stringify([
    overviewView(given, "*", "c"),
    ladderView(given, "*"),
    rolloutsView(given, "*"),
    ...ofKind("Canary", canaries),
    ...ofKind("MeshUpgrade", upgrades),
  ]);
}

test("a Canary, MeshUpgrade, Freeze or journal with missing or malformed parts breaks no view", () => {
  let count = 0;
  const each = (name: string, whole: object, objectsOf: (object: never) => Parameters<typeof input>[0]): void => {
    for (const object of spoiled(whole)) {
      count += 1;
      assert.doesNotThrow(() => seen(objectsOf(object as never)), `${name}: ${JSON.stringify(object)}`);
    }
  };
  const journals = [journal as unknown as RolloutJournal];
  each("Canary", canary, (object: Canary) => ({ canaries: [object], journals }));
  each("MeshUpgrade", upgrade, (object: MeshUpgrade) => ({ upgrades: [object], journals }));
  each("Freeze", freeze, (object: Freeze) => ({ freezes: [object] }));
  each("journal", journal, (object: RolloutJournal) => ({
    canaries: [canary as unknown as Canary],
    journals: [object],
  }));
  assert.ok(count > 300, `${count}`);
});

test("valid parts are shown, malformed ones are not, and the YAML is the stored one", () => {
  const odd = {
    ...upgrade,
    status: { ...status, progress: 7, plannedSteps: [null, { id: "step-1" }], conditions: "none" },
    spec: { ...upgrade.spec, to: "b" },
  } as unknown as MeshUpgrade;
  const given = input({ upgrades: [odd] });
  const [sound] = given.inventory.objects.upgrades;
  assert.ok(sound);
  const { head, tables } = rolloutView(given, sound, { actions: [], visible: "*" });
  assert.deepEqual(
    [
      head.row.progress,
      head.row.target,
      head.row.weight,
      Object.values(tables.steps).map(({ id, state }) => `${id} ${state}`),
    ],
    ["", "a -> ", 50, ["step-1 current"]],
  );
  assert.match(head.yaml, /to: b\n/);
  assert.match(head.yaml, /progress: 7\n/);
});
