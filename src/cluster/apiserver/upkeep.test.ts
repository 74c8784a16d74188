import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerHarness, type Json } from "./testing/server-harness.ts";

test("an Event is deleted when its time has passed since its last change, and other objects stay", async () => {
  const server = await new ServerHarness().start({ eventTtlMs: 1_000 });
  try {
    const event = {
      metadata: { name: "old" },
      involvedObject: { kind: "Pod", namespace: "default", name: "web" },
      reason: "Started",
      message: "started",
      type: "Normal",
      lastTimestamp: new Date().toISOString(),
    };
    await server.call("POST", "/api/v1/namespaces/default/events", event);
    await server.call("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "kept" } });
    const received: Json[] = await server.watch("/api/v1/namespaces/default/events?watch=true", (events) =>
      events.some(({ type }) => type === "DELETED"),
    );
    assert.deepEqual(
      received.map(({ type, object }) => [type, object.metadata.name]),
      [
        ["ADDED", "old"],
        ["DELETED", "old"],
      ],
    );
    assert.equal((await server.call("GET", "/api/v1/namespaces/default/configmaps/kept")).status, 200);
  } finally {
    await server.stop();
  }
});
