import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness } from "../testing/harness.ts";
import { maxDestinations } from "./cluster.ts";

test("a cluster with many destinations forgets one that nobody uses for a new one, and none that is in use", async () => {
  await using harness = await Harness.start();
  const originalDestination = {
    portOverride: undefined,
    header: undefined,
    transport: { kind: "plain" },
    proxyHeader: undefined,
    socketOptions: {},
  } as const;
  const cluster = harness.cluster("passthrough", [], { originalDestination });
  const at = (port: number) => cluster.forDestination({ address: "10.0.0.1", port });
  const known = Array.from({ length: maxDestinations }, (_, index) => at(index + 1));
  const [used, idle] = known;
  assert.ok(used !== undefined && idle !== undefined);
  used.activeRequests = 1;
  assert.notEqual(at(maxDestinations + 1), undefined);
  assert.equal(at(1), used);
  assert.notEqual(at(2), idle, "it was forgotten");
  for (const endpoint of cluster.endpoints()) endpoint.activeRequests = 1;
  assert.equal(at(maxDestinations + 2), undefined);
  assert.equal([...cluster.endpoints()].length, maxDestinations);
});
