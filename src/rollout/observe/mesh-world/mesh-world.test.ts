import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { lostProbes } from "./mesh-world.ts";

const upgrade = { spec: { from: { revision: "old" }, to: { revision: "new" } } } as unknown as MeshUpgrade;

type ProbeView = Pick<ClusterView, "namespaces" | "pods">;

function view(metadata: object | undefined, pods: Readonly<Record<string, object>>): ProbeView {
  return {
    namespaces: { get: () => (metadata === undefined ? undefined : { metadata }) },
    pods: { get: (key: string) => pods[key] },
  } as unknown as ClusterView;
}

const annotations = { "rollout.serin.dev/probe-data-planes": "ambient" };
const all = ["server-ambient-old", "server-ambient-new", "client-ambient-old", "client-ambient-new"];

function running(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(
    names.map((name) => [`serin-probes/${name}`, { metadata: {}, status: { phase: "Running" } }]),
  );
}

test("probes that a drained node took along are missing, of the data planes that have probes", () => {
  const none = { missing: [], ended: [] };
  assert.deepEqual(lostProbes(view({ annotations }, running(all)), upgrade), none);
  assert.deepEqual(lostProbes(view({ annotations }, running(all.slice(1))), upgrade), {
    missing: ["server-ambient-old"],
    ended: [],
  });
  assert.deepEqual(lostProbes(view(undefined, {}), upgrade), none, "they are not made yet");
  const ending = { annotations, deletionTimestamp: "2026-01-01T00:00:00Z" };
  assert.deepEqual(lostProbes(view(ending, {}), upgrade), none, "they are being removed");
});

test("probes that a node evicted have ended, until they are being deleted", () => {
  const status = { phase: "Failed", reason: "Evicted" };
  const evicted = { ...running(all), "serin-probes/client-ambient-new": { metadata: {}, status } };
  assert.deepEqual(lostProbes(view({ annotations }, evicted), upgrade), { missing: [], ended: ["client-ambient-new"] });
  const metadata = { deletionTimestamp: "2026-01-01T00:00:00Z" };
  const leaving = { ...evicted, "serin-probes/client-ambient-new": { metadata, status } };
  assert.deepEqual(lostProbes(view({ annotations }, leaving), upgrade), { missing: [], ended: [] });
});
