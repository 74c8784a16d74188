import assert from "node:assert/strict";
import { test } from "node:test";
import { fakePod } from "./checks/testing/fake-mesh.ts";
import { whyNotReady } from "./pod-reason.ts";

test("a pod whose containers are ready names its readiness gate, and one without containers waits for its node", () => {
  const message = 'corresponding condition of pod readiness gate "example.com/ready" does not exist or is not "True".';
  const conditions = [{ type: "Ready", status: "False", reason: "ReadinessGatesNotReady", message }];
  const containerStatuses = [{ name: "app", ready: true, restartCount: 0, state: { running: {} } }];
  assert.equal(whyNotReady(fakePod({ name: "web", status: { conditions, containerStatuses } as never })), message);
  assert.equal(whyNotReady(fakePod({ name: "web" })), "its node has not started it");
  const placed = { ...fakePod({ name: "web" }), spec: { containers: [], nodeName: "worker" } };
  assert.equal(whyNotReady(placed), "its node worker has not started it");
});
