import assert from "node:assert/strict";
import { test } from "node:test";
import { namespaceKind } from "../../../src/api/kubernetes/index.ts";
import { FakeKubeClient } from "../../../src/controlplane/testing/fake-kube-client.ts";
import { expectIntendedState, intendedState } from "./intended-state.ts";

/** Returns a clock on which each sleep takes no time, and calls `then` at its end. */
function clockWhere(then: () => void | Promise<void>): {
  steadyMs: () => number;
  sleep: (ms: number) => Promise<void>;
} {
  let nowMs = 0;
  return {
    steadyMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms;
      await then();
    },
  };
}

test("a deleted object may still be leaving, but must leave", async () => {
  const client = new FakeKubeClient();
  client.put(namespaceKind, { metadata: { name: "app" } });
  const before = await intendedState(client);
  const probes = { name: "serin-probes", deletionTimestamp: "2026-01-01T00:00:00Z" };
  client.put(namespaceKind, { metadata: probes });
  await expectIntendedState(
    client,
    before,
    clockWhere(async () => await client.delete(namespaceKind, "serin-probes")),
  );
  client.put(namespaceKind, { metadata: probes });
  await assert.rejects(
    expectIntendedState(
      client,
      before,
      clockWhere(() => undefined),
    ),
    /objects that were not there before[^]*serin-probes/,
  );
});

test("an object that nobody deleted is an error at once", async () => {
  const client = new FakeKubeClient();
  const before = await intendedState(client);
  client.put(namespaceKind, { metadata: { name: "left-behind" } });
  await assert.rejects(
    expectIntendedState(
      client,
      before,
      clockWhere(() => assert.fail("it waited")),
    ),
    /objects that were not there before[^]*left-behind/,
  );
});
