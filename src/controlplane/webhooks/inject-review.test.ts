import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { readInjectionSettings, readMeshForInjection, type JsonPatchOperation } from "../../inject/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { createInjectReviewer } from "./inject-review.ts";

const settings = readInjectionSettings(
  {},
  {
    hub: "docker.io/istio",
    tag: "1",
    istioNamespace: "istio-system",
    revision: "default",
    clusterName: "Kubernetes",
    network: "",
  },
);
const metrics = new MetricsRegistry();
const review = createInjectReviewer({
  context: () => ({
    settings,
    mesh: readMeshForInjection({}),
    revision: "default",
    nativeSidecars: true,
    proxyConfigs: [],
  }),
  namespaceLabels: (namespace) => (namespace === "ambient" ? { "istio.io/dataplane-mode": "ambient" } : {}),
  metrics,
  log: silentLogger,
});

const pod = (annotations: Record<string, string> = {}): unknown => ({
  metadata: { name: "web", annotations },
  spec: { containers: [{ name: "app", image: "app" }] },
});
const ask = (object: unknown, namespace = "demo", path = "/inject"): ReturnType<typeof review>["response"] =>
  review({ request: { uid: "1", namespace, object } }, path).response;

test("a pod is answered with a patch, cluster and network of the URL in it", () => {
  const answer = ask(pod(), "demo", "/inject/cluster/east/net/a--slash--b");
  assert.deepEqual([answer.allowed, answer.patchType], [true, "JSONPatch"]);
  const patch = JSON.parse(Buffer.from(answer.patch ?? "", "base64").toString("utf8")) as JsonPatchOperation[];
  const text = JSON.stringify(patch);
  assert.match(text, /"name":"ISTIO_META_CLUSTER_ID","value":"east"/);
  assert.match(text, /"name":"ISTIO_META_NETWORK","value":"a\/b"/);
});

test("what is left alone passes without a patch; what cannot be injected is denied with the reason", () => {
  assert.deepEqual(ask(pod(), "ambient"), { uid: "1", allowed: true });
  const denied = ask(pod({ "sidecar.istio.io/proxyCPU": "much" }));
  assert.equal(denied.allowed, false);
  assert.match(
    denied.status?.message ?? "",
    /annotation sidecar\.istio\.io\/proxyCPU must be a quantity such as 100m or 128Mi, got "much"/,
  );
  assert.match(renderPrometheus(metrics), /sidecar_injection_failure_total 1/);
});
