import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary, type Canary } from "../../../api/serin/index.ts";
import { planCanary } from "./canary-plan.ts";

const path = { path: { type: "Exact", value: "/productpage" } };
const original = [
  { matches: [{ path: { type: "PathPrefix", value: "/other" } }], backendRefs: [{ name: "other", port: 80 }] },
  { matches: [path], backendRefs: [{ name: "productpage", port: 9080 }], timeouts: { request: "3s" } },
];

function canary(steps: readonly object[], more: object = {}): Canary {
  const parsed = parseCanary({
    metadata: { name: "c", namespace: "stable" },
    spec: {
      target: { httpRoute: { name: "route", rule: 1, stable: { name: "productpage", port: 9080 }, canary: { name: "productpage", namespace: "next", port: 9080 } } },
      steps,
      ...more,
    },
  });
  assert.deepEqual(parsed.errors, []);
  assert.ok(parsed.value);
  return parsed.value;
}

function rulesOf(steps: readonly object[], at: number): unknown {
  const write = planCanary(canary(steps), { rules: original })[at]?.writes[0];
  assert.equal(write?.type, "field");
  return write.value;
}

test("a header step adds a rule with the target's own paths, so that it wins where a header alone would lose", () => {
  assert.deepEqual(rulesOf([{ match: { headers: [{ name: "traffic", value: "test" }] } }], 0), [
    original[0],
    { ...original[1], matches: [{ ...path, headers: [{ type: "Exact", name: "traffic", value: "test" }] }], backendRefs: [{ name: "productpage", namespace: "next", port: 9080, weight: 1 }] },
    original[1],
  ]);
});

test("a weight step splits the target rule alone and keeps everything else of it", () => {
  assert.deepEqual(rulesOf([{ weight: 10 }], 0), [
    original[0],
    { ...original[1], backendRefs: [{ name: "productpage", port: 9080, weight: 90 }, { name: "productpage", namespace: "next", port: 9080, weight: 10 }] },
  ]);
});

test("who is sent by header stays with the canary while weights rise, and the share becomes a lower bound", () => {
  const plan = planCanary(canary([{ match: { headers: [{ name: "a", value: "b" }] } }, { weight: 50 }]), { rules: original });
  const write = plan[1]?.writes[0];
  assert.equal(write?.type === "field" && (write.value as unknown[]).length, 3);
  const share = plan[1]?.checks.find(({ spec }) => spec.type === "request-share");
  assert.deepEqual(share?.subject, {
    type: "backends",
    canary: { service: "productpage", namespace: "next" },
    stable: { service: "productpage", namespace: "stable" },
    expectedShare: 50,
    atLeast: true,
  });
  assert.equal(plan[0]?.checks.some(({ spec }) => spec.type === "request-share"), false, "a header has no share");
});

test("a step that pauses until approved is approved by its id", () => {
  const steps = [{ weight: 10, pause: { untilApproved: true } }, { weight: 100, pause: { durationSeconds: 5 } }];
  assert.deepEqual(planCanary(canary(steps), { rules: original }).map(({ pause }) => pause), [{ approved: false }, { durationMs: 5000 }]);
  assert.deepEqual(planCanary(canary(steps, { approvals: [{ step: "step-1", by: "ann", why: "looks good", at: "2026-01-31T12:00:00Z" }] }), { rules: original })[0]?.pause, { approved: true });
});

test("a step with both or neither of weight and match, and an unknown field, are refused at their paths", () => {
  const parsed = parseCanary({ spec: { target: { httpRoute: { name: "r" } }, steps: [{}, { weight: 1, match: { headers: [] } }], colour: "red" } });
  assert.deepEqual(
    parsed.errors.map((issue) => issue.path).toSorted(),
    ["spec.colour", "spec.steps[0]", "spec.steps[1].match", "spec.target.httpRoute.canary", "spec.target.httpRoute.stable"],
  );
});
