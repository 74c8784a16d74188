import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { LostProbes } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { lostProbes, probeSource } from "./mesh-world.ts";

const upgrade = { spec: { from: { revision: "old" }, to: { revision: "new" } } } as unknown as MeshUpgrade;

type ProbeView = Pick<ClusterView, "namespaces" | "pods">;

function view(metadata: object | undefined, pods: Readonly<Record<string, object>>): ProbeView {
  return {
    namespaces: { get: () => (metadata === undefined ? undefined : { metadata }) },
    pods: { get: (key: string) => pods[key] },
  } as unknown as ClusterView;
}

test("probes have the image, the pull Secrets and the placement of the engine's own pod, or the release's image without such a pod", () => {
  const imagePullSecrets = [{ name: "regcred" }];
  const nodeSelector = { "kubernetes.io/os": "linux", pool: "infra" };
  const dedicated = { key: "dedicated", operator: "Equal", value: "mesh", effect: "NoSchedule" };
  const ofEveryPod = ["not-ready", "unreachable"].map((state) => ({
    key: `node.kubernetes.io/${state}`,
    operator: "Exists",
    effect: "NoExecute",
    tolerationSeconds: 300,
  }));
  const containers = [
    { name: "istio-proxy", image: "other" },
    { name: "engine", image: "r.example.com/mesh/serin:mine" },
  ];
  const pods = {
    "serin-system/e-1": {
      spec: { containers, imagePullSecrets, nodeSelector, tolerations: [dedicated, ...ofEveryPod] },
    },
    "serin-system/e-2": { spec: { containers, tolerations: ofEveryPod } },
  };
  const sourceOf = (pod?: string): object =>
    probeSource(view(undefined, pods), { hub: "h", tag: "1", ...(pod === undefined ? {} : { pod }) });
  const own = { probeImage: "r.example.com/mesh/serin:mine" };
  assert.deepEqual(sourceOf("serin-system/e-1"), {
    ...own,
    probePod: { imagePullSecrets, nodeSelector, tolerations: [dedicated] },
  });
  assert.deepEqual(sourceOf("serin-system/e-2"), { ...own, probePod: {} });
  for (const pod of [undefined, "serin-system/"]) assert.deepEqual(sourceOf(pod), { probeImage: "h/serin:1" });
});

const annotations = { "rollout.serin.dev/probe-data-planes": "ambient" };
const all = ["server-ambient-old", "server-ambient-new", "client-ambient-old", "client-ambient-new"];

const nowMs = Date.parse("2026-01-01T00:00:30Z");

function lost(seen: ProbeView): LostProbes {
  return lostProbes(seen, upgrade, ["ambient"], nowMs);
}

function running(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(
    names.map((name) => [`serin-probes/${name}`, { metadata: {}, status: { phase: "Running" } }]),
  );
}

test("probes that a drained node took along are missing, of the data planes that have probes", () => {
  const none = { missing: [], ended: [], stranded: [] };
  assert.deepEqual(lost(view({ annotations }, running(all))), none);
  assert.deepEqual(lost(view({ annotations }, running(all.slice(1)))), {
    missing: ["server-ambient-old"],
    ended: [],
    stranded: [],
  });
  assert.deepEqual(lost(view(undefined, {})), none, "they are not made yet");
  const ending = { annotations, deletionTimestamp: "2026-01-01T00:00:00Z" };
  assert.deepEqual(lost(view(ending, {})), none, "they are being removed");
});

test("a probe namespace that somebody else has made has probes of the present data planes", () => {
  for (const made of [{}, { annotations: { team: "mesh" } }])
    assert.deepEqual(lost(view(made, running(all.slice(1)))).missing, ["server-ambient-old"]);
});

test("probes that a node evicted have ended, until they are being deleted", () => {
  const status = { phase: "Failed", reason: "Evicted" };
  const evicted = { ...running(all), "serin-probes/client-ambient-new": { metadata: {}, status } };
  assert.deepEqual(lost(view({ annotations }, evicted)), { missing: [], ended: ["client-ambient-new"], stranded: [] });
  const metadata = { deletionTimestamp: "2026-01-01T00:00:00Z" };
  const leaving = { ...evicted, "serin-probes/client-ambient-new": { metadata, status } };
  assert.deepEqual(lost(view({ annotations }, leaving)), { missing: [], ended: [], stranded: [] });
});

test("probes whose node is lost are stranded when they have been ending for a minute, unless somebody keeps them", () => {
  const strandedAt = (deletionTimestamp: string, more: object = {}): readonly string[] => {
    const pod = { metadata: { deletionTimestamp, ...more }, status: { phase: "Running" } };
    return lost(view({ annotations }, { ...running(all), "serin-probes/client-ambient-new": pod })).stranded;
  };
  assert.deepEqual(strandedAt("2025-12-31T23:59:29Z"), ["client-ambient-new"]);
  assert.deepEqual(strandedAt("2025-12-31T23:59:31Z"), []);
  assert.deepEqual(strandedAt("2025-12-31T23:59:29Z", { finalizers: ["example.com/keeps"] }), []);
});
