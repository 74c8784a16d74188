import assert from "node:assert/strict";
import { test } from "node:test";
import { reviewRollout, type RolloutReview } from "./review.ts";

const approval = { step: "step-1", by: "ann", why: "looks good", at: "2026-01-31T12:00:00Z" };
const target = { httpRoute: { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "next", port: 80 } } };

function review(spec: object, more: Partial<NonNullable<RolloutReview["request"]>> = {}): string {
  const object = { metadata: { name: "shop", namespace: "shop" }, spec: { target, steps: [{ weight: 10 }], ...spec } };
  const kind = { group: "rollout.serin.dev", kind: "Canary" };
  const { response } = reviewRollout({
    request: { uid: "1", kind, name: "shop", operation: "UPDATE", userInfo: { username: "ann" }, object, ...more },
  });
  return response.allowed ? "allowed" : (response.status?.message ?? "");
}

test("every fault is named at its field", () => {
  const answer = review({ steps: [{ weight: 101 }, { scale: { replicas: 1 } }], colour: "red" });
  assert.match(answer, /Canary "shop" is not valid:/);
  assert.match(answer, /spec\.steps\[0\]\.weight: must be from 0 to 100, got 101/);
  assert.match(answer, /spec\.steps\[1\]\.scale: needs target\.deployment/);
  assert.match(answer, /spec\.colour/);
});

test("who approves does so in their own name; what was approved before stays", () => {
  assert.equal(review({ approvals: [approval] }), "allowed");
  const asBob = { userInfo: { username: "bob" } };
  assert.match(
    review({ approvals: [approval] }, asBob),
    /spec\.approvals\[0\]\.by: must name who writes it \(bob\), got "ann"/,
  );
  const oldObject = {
    spec: { approvals: [{ why: approval.why, at: approval.at, by: approval.by, step: approval.step }] },
  };
  assert.equal(review({ approvals: [approval, { ...approval, by: "bob" }] }, { ...asBob, oldObject }), "allowed");
  assert.match(review({ fullPromotion: { by: "ann" } }, asBob), /spec\.fullPromotion\.by/);
  const promoted = { spec: { fullPromotion: { by: "ann", at: approval.at } } };
  assert.equal(review({ paused: true, ...promoted.spec }, { ...asBob, oldObject: promoted }), "allowed");
  assert.match(
    review({ fullPromotion: { by: "ann", at: "2026-02-01T12:00:00Z" } }, { ...asBob, oldObject: promoted }),
    /spec\.fullPromotion\.by/,
  );
});

test("a freeze's rule that cannot be read is refused before anything depends on it", () => {
  const kind = { group: "rollout.serin.dev", kind: "Freeze" };
  const freeze = (rrule: string) => ({
    metadata: { name: "nights" },
    spec: { reason: "nights", windows: [{ start: "2026-01-01T22:00:00", rrule, durationSeconds: 3600 }] },
  });
  assert.match(
    review({}, { kind, name: "nights", object: freeze("FREQ=SOMETIMES") }),
    /Freeze "nights" is not valid:\n.*spec\.windows\[0\]\.rrule: .*SOMETIMES/,
  );
  assert.equal(review({}, { kind, name: "nights", object: freeze("FREQ=DAILY;BYDAY=MO,FR") }), "allowed");
});

test("deletion and other kinds are none of its business", () => {
  assert.equal(review({ steps: [] }, { operation: "DELETE" }), "allowed");
  assert.equal(review({ steps: [] }, { kind: { group: "", kind: "Pod" } }), "allowed");
});

test("a write that leaves a refused spec as it is passes, so that its object can still go", () => {
  const invalid = { steps: [{ weight: 101 }] };
  const object = { metadata: { name: "shop", finalizers: [] }, spec: invalid };
  assert.equal(
    review({}, { object, oldObject: { metadata: { name: "shop", finalizers: ["one"] }, spec: { ...invalid } } }),
    "allowed",
  );
  assert.match(review({}, { object, oldObject: { metadata: { name: "shop" }, spec: { steps: [] } } }), /is not valid/);
});
