import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary, CheckStatus, Freeze, FreezeWindow, RolloutJournal } from "../../api/serin/index.ts";
import { maxListedDecisions, rolloutView } from "./rollout.ts";
import { rolloutsView } from "./rollouts.ts";
import { deployment, input, pod, service } from "./testing/small-mesh.ts";

const rates: CheckStatus = {
  type: "request-success-rate",
  verdict: "wait",
  evidence: "canary 1 of 100 failed",
  statistic: { passes: 0, inner: { gained: { canaryTotal: 100, canaryErrors: 1, stableTotal: 900, stableErrors: 0 } } },
};
const durations: CheckStatus = {
  type: "request-duration",
  verdict: "pass",
  evidence: "",
  statistic: {
    inner: {
      bounds: [[10, 20, 40]],
      histograms: { allCanary: { in: 0, counts: [0, 100] }, allStable: { in: 0, counts: [100] } },
    },
  },
};
const canary = {
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "shop", namespace: "shop", managedFields: [] },
  spec: {
    target: {
      httpRoute: {
        name: "shop",
        rule: 0,
        stable: { name: "shop-v1", port: 80 },
        canary: { name: "shop-v2", port: 80 },
      },
    },
    steps: [{ weight: 10 }, { weight: 50 }, { weight: 100 }],
    checks: [{ type: "request-success-rate" }, { type: "request-duration", maxRatio: 1.5 }],
    approvals: [{ step: "step-1", by: "ann", why: "looked at it", at: "2026-06-01T11:50:00Z" }],
  },
  status: {
    observedGeneration: 1,
    phase: "Judging",
    progress: "2/3",
    message: "judging",
    run: 1,
    weight: 50,
    step: { id: "step-2", title: "50 %", startedAt: "2026-06-01T11:58:00Z", checks: [rates, durations] },
    completedSteps: [
      {
        id: "step-1",
        title: "10 %",
        startedAt: "2026-06-01T11:50:00Z",
        endedAt: "2026-06-01T11:57:00Z",
        evidence: ["canary 0 of 200 failed"],
      },
    ],
    plannedSteps: [
      { id: "step-1", title: "10 %" },
      { id: "step-2", title: "50 %" },
      { id: "step-3", title: "100 %" },
    ],
    conditions: [],
  },
} as unknown as Canary;
const everything = { actions: [], visible: "*" } as const;
const view = rolloutView(input({ canaries: [canary] }), canary, everything);

test("steps are done, current or to come, with their weights", () => {
  assert.deepEqual(
    Object.values(view.tables.steps).map(({ id, state, weight }) => [id, state, weight]),
    [
      ["step-1", "done", 10],
      ["step-2", "current", 50],
      ["step-3", "to come", 100],
    ],
  );
});

test("the page learns of an ordered pause, which the phase does not tell", () => {
  const ordered = { ...canary, spec: { ...canary.spec, paused: true } } as Canary;
  assert.deepEqual([view.head.paused, rolloutView(input({}), ordered, everything).head.paused], [false, true]);
});

test("a check of rates compares both versions with the rate that must be ruled out", () => {
  const comparison = view.tables.checks["000"]?.comparison;
  assert.deepEqual(
    [comparison?.unit, comparison?.canary, comparison?.stable, comparison?.canarySamples, comparison?.stableSamples],
    ["share", 0.01, 0, 100, 900],
  );
  // The bound is 1 - 0.995 * 0.01^(1/120).
  assert.equal(comparison?.bound?.toFixed(4), "0.0425");
});

test("a check of durations compares the highest quantile with stable's times the tolerated factor", () => {
  const comparison = view.tables.checks["001"]?.comparison;
  assert.deepEqual(
    [comparison?.unit, comparison?.canary, comparison?.stable, comparison?.bound?.toFixed(2)],
    ["ms", 19.9, 9.9, "14.85"],
  );
});

test("a check is explained, and the engine's internal statistic is not sent", () => {
  const check = view.tables.checks["000"];
  assert.match(check?.explanation ?? "", /Compares failed requests/);
  assert.ok(check !== undefined && !("statistic" in check));
});

test("both sides are named for the charts, and managed fields are removed from the YAML", () => {
  assert.deepEqual(
    [view.head.canaryBackend, view.head.stableBackend],
    ["service shop/shop-v2", "service shop/shop-v1"],
  );
  assert.ok(!view.head.yaml.includes("managedFields"));
  assert.deepEqual(
    view.head.approvals.map(({ by, atMs }) => [by, atMs]),
    [["ann", Date.parse("2026-06-01T11:50:00Z")]],
  );
});

test("the workloads of both versions are linked, except those of a namespace that the reader may not see", () => {
  const mesh = input({
    canaries: [canary],
    services: [service("shop", "shop-v2", { version: "v2" }), service("shop", "shop-v1", { version: "v1" })],
    deployments: ["v1", "v2"].map((version) => deployment("shop", `shop-${version}`, { version })),
    pods: ["v1", "v2"].map((version) => pod("shop", `shop-${version}`, { labels: { version } })),
  });
  const linked = (visible: ReadonlySet<string> | "*"): unknown => {
    const { canaryWorkloads, stableWorkloads } = rolloutView(mesh, canary, { actions: [], visible }).head;
    return [canaryWorkloads, stableWorkloads];
  };
  assert.deepEqual(linked("*"), [["shop/shop-v2"], ["shop/shop-v1"]]);
  assert.deepEqual(linked(new Set(["shop"])), [["shop/shop-v2"], ["shop/shop-v1"]]);
  assert.deepEqual(linked(new Set(["bank"])), [[], []]);
});

test("the page lists the newest decisions, and is told how many older ones there are", () => {
  const decisions = Array.from({ length: maxListedDecisions + 7 }, (_, index) => ({
    at: "2026-06-01T11:50:00Z",
    run: 1,
    decision: "StepDone",
    message: `decision ${index}`,
  }));
  const journals = [{ metadata: { name: "canary.shop.shop" }, decisions }] as unknown as RolloutJournal[];
  const { head, tables } = rolloutView(input({ canaries: [canary], journals }), canary, everything);
  assert.deepEqual([head.olderDecisions, Object.keys(tables.decisions).length], [7, maxListedDecisions]);
  assert.equal(Object.values(tables.decisions)[0]?.message, "decision 7");
});

test("a list has the rollouts of readable namespaces, and shows which wait for a person", () => {
  const paused = { ...canary, status: { ...canary.status, phase: "Paused", pauseReason: "approval" } } as Canary;
  const rows = (visible: ReadonlySet<string> | "*"): unknown[] =>
    Object.values(rolloutsView(input({ canaries: [paused] }), visible).tables.rollouts).map(
      ({ target, waitsForPerson, pauseReason, weight }) => [target, waitsForPerson, pauseReason, weight],
    );
  assert.deepEqual(rows("*"), [["HTTPRoute shop/shop", true, "approval", 50]]);
  assert.deepEqual(rows(new Set(["bank"])), []);
});

test("a freeze applies by its window or rule in its own time zone, and an unreadable one always applies", () => {
  const freeze = (name: string, window: FreezeWindow): Freeze => ({
    metadata: { name },
    spec: { reason: name, timeZone: "Europe/Berlin", windows: [window], kinds: [], namespaces: [], exceptions: [] },
  });
  const freezes = [
    // The time of the views is Monday 14:00 in Berlin.
    freeze("now", { start: "2026-06-01T13:00:00", end: "2026-06-01T15:00:00" }),
    freeze("mondays", { start: "2026-05-04T13:00:00", rrule: "FREQ=WEEKLY;BYDAY=MO", durationSeconds: 7200 }),
    freeze("later", { start: "2026-06-02T13:00:00", end: "2026-06-02T15:00:00" }),
    freeze("broken", { start: "2026-06-01T13:00:00", rrule: "FREQ=SOMETIMES", durationSeconds: 7200 }),
    { metadata: { name: "zone" }, spec: { reason: "peak", timeZone: "Berlin", windows: [] } } as unknown as Freeze,
    { metadata: { name: "bare" } } as unknown as Freeze,
  ];
  const rows = rolloutsView(input({ freezes }), "*").tables.freezes;
  assert.deepEqual([rows["now"]?.active, rows["now"]?.endsAtMs], [true, Date.parse("2026-06-01T13:00:00Z")]);
  assert.deepEqual([rows["mondays"]?.active, rows["mondays"]?.endsAtMs], [true, Date.parse("2026-06-01T13:00:00Z")]);
  assert.deepEqual([rows["later"]?.active, rows["later"]?.nextAtMs], [false, Date.parse("2026-06-02T11:00:00Z")]);
  const unreadable = ["broken", "zone", "bare"].map((name) => rows[name]);
  assert.deepEqual(
    unreadable.map((row) => row?.active),
    [true, true, true],
  );
  const [broken = "", zone = "", bare = ""] = unreadable.map((row) => row?.reason);
  assert.match(
    broken,
    /^broken: in force because it cannot be read: spec\.windows\[0\]\.rrule: .*SOMETIMES.* serin freeze remove broken$/,
  );
  assert.match(zone, /^peak: in force because it cannot be read: spec\.\w+: must .* serin freeze remove zone$/);
  assert.match(bare, /^in force because it cannot be read: spec[.\w]*: .* serin freeze remove bare$/);
});
