import assert from "node:assert/strict";
import { test } from "node:test";
import { decide } from "./decide.ts";
import { journalCounts } from "./input.ts";
import { probeNamespaceObject } from "./probe-namespace.ts";
import { begun, input, orders, reasons } from "./testing/two-steps.ts";

test("with Leave, the probes of an upgrade leave with it, because they serve nothing else", () => {
  const probes = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "serin-probes" };
  const entries = [
    { type: "created", step: "probes", object: probes },
    {
      type: "created",
      step: "probes",
      object: { ...probes, kind: "Pod", plural: "pods", namespace: "serin-probes", name: "client" },
    },
  ] as const;
  const journal = journalCounts({ entries });
  const leaves = { ...orders, deletion: "Leave" as const };
  const given = input({ status: begun, journal, orders: leaves });
  const removal = { type: "write", write: { type: "delete", object: probes, forGood: true } };
  const { actions } = decide(given);
  assert.match(actions[0]?.type === "event" ? actions[0].message : "", /its changes stay, .* without its probes$/);
  assert.deepEqual(actions.slice(1), [removal, { type: "forget" }]);
  const failedWrite = { detail: "a webhook refuses it", waits: true };
  const waiting = decide({ ...given, failedWrite });
  assert.deepEqual(waiting.actions, []);
  assert.deepEqual([waiting.status.phase, waiting.status.pauseReason], ["Stuck", "error"], "others wait for a person");
  assert.match(waiting.status.message, /when its probes are: a webhook refuses it; correct what it names/);
  assert.deepEqual(decide({ ...given, failedWrite: { ...failedWrite, waits: false } }).actions, [
    removal,
    { type: "forget" },
  ]);
  // A completed upgrade has deleted its probes itself.
  const completed = decide({ ...given, status: { ...begun, phase: "Completed" } });
  assert.deepEqual(reasons(completed), ["Deleted", "forget"]);
});

test("with Leave, the probes leave also if somebody has deleted the journal, because the status names them", () => {
  const journal = journalCounts({ entries: [], missing: true });
  const status = { ...begun, journaled: { objects: ["Namespace a", "Namespace serin-probes"] } };
  const given = input({ status, journal, orders: { ...orders, deletion: "Leave" } });
  const removal = { type: "write", write: { type: "delete", object: probeNamespaceObject, forGood: true } };
  assert.deepEqual(decide(given).actions.slice(1), [removal, { type: "release" }]);
  const failedWrite = { detail: "a webhook refuses it", waits: false };
  assert.deepEqual(decide({ ...given, failedWrite }).actions, [removal, { type: "release" }]);
  const others = { ...status, journaled: { objects: ["Namespace a"] } };
  for (const other of [others, { ...status, phase: "Completed" as const }])
    assert.deepEqual(reasons(decide({ ...given, status: other })), ["Deleted", "release"]);
});
