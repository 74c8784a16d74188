import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { missingProbes } from "./mesh-world.ts";

const upgrade = { spec: { from: { revision: "old" }, to: { revision: "new" } } } as unknown as MeshUpgrade;

function view(metadata: object | undefined, pods: readonly string[]): Pick<ClusterView, "namespaces" | "pods"> {
  return {
    namespaces: { get: () => (metadata === undefined ? undefined : { metadata }) },
    pods: { get: (key: string) => (pods.includes(key) ? {} : undefined) },
  } as unknown as ClusterView;
}

test("probes that were deleted with a drained node are reported as missing, for the data planes that have probes", () => {
  const annotations = { "rollout.serin.dev/probe-data-planes": "ambient" };
  const all = ["server-ambient-old", "server-ambient-new", "client-ambient-old", "client-ambient-new"];
  const keys = all.map((name) => `serin-probes/${name}`);
  assert.deepEqual(missingProbes(view({ annotations }, keys), upgrade), []);
  assert.deepEqual(missingProbes(view({ annotations }, keys.slice(1)), upgrade), ["server-ambient-old"]);
  assert.deepEqual(missingProbes(view(undefined, []), upgrade), [], "they are not made yet");
  const ending = { annotations, deletionTimestamp: "2026-01-01T00:00:00Z" };
  assert.deepEqual(missingProbes(view(ending, []), upgrade), [], "they are being removed");
});
