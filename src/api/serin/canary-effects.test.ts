import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary } from "./canary.ts";

const deployment = { deployment: { name: "web", service: "web" } };
const backends = { stable: { name: "a", port: 80 }, canary: { name: "b", port: 80 } };

function placesOf(spec: object): readonly string[] {
  const { errors, warnings } = parseCanary({
    metadata: { name: "c", namespace: "shop" },
    spec: { target: deployment, steps: [{ weight: 100 }], ...spec },
  });
  assert.deepEqual(errors, []);
  return warnings.map(({ path }) => path);
}

test("a Canary warns of scaleDownDelaySeconds if the engine does not run the pods", () => {
  assert.deepEqual(placesOf({ scaleDownDelaySeconds: 30 }), []);
  assert.deepEqual(placesOf({ scaleDownDelaySeconds: 30, target: { httpRoute: { name: "web", ...backends } } }), [
    "spec.scaleDownDelaySeconds",
  ]);
});

test("a Canary warns of a match in a step where all requests go to the canary", () => {
  const match = { headers: [{ name: "x", value: "y" }] };
  assert.deepEqual(placesOf({ steps: [{ match }, { weight: 100, match }, { match }] }), [
    "spec.steps[1].match",
    "spec.steps[2].match",
  ]);
});

test("a Canary warns of a mirror beside the mirror of an experiment", () => {
  const experiment = { durationSeconds: 60, mirrorPercent: 10 };
  const mirror = { percent: 10 };
  assert.deepEqual(placesOf({ steps: [{ experiment, mirror }, { experiment }, { mirror }] }), ["spec.steps[0].mirror"]);
});
