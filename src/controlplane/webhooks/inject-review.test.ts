import assert from "node:assert/strict";
import { test } from "node:test";
import { readInjectionSettings, readMeshForInjection, type JsonPatchOperation } from "../../inject/index.ts";
import type { AdmissionAnswer } from "../../api/admission-review/index.ts";
import { namespaceOf, reviewPod } from "./inject-review.ts";

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
const context = {
  settings,
  mesh: readMeshForInjection({}),
  revision: "default",
  nativeSidecars: true,
  proxyConfigs: [],
};

const pod = (annotations: Record<string, string> = {}): unknown => ({
  metadata: { name: "web", annotations },
  spec: { containers: [{ name: "app", image: "app" }] },
});
const reviewOf = (object: unknown, namespace = "demo", path = "/inject"): AdmissionAnswer["response"] => {
  const review = { request: { uid: "1", namespace, object } };
  const namespaceLabels: Record<string, string> =
    namespaceOf(review) === "ambient" ? { "istio.io/dataplane-mode": "ambient" } : {};
  return reviewPod(review, path, { context, namespaceLabels }).answer.response;
};

test("a pod gets a patch with the cluster and network of the URL", () => {
  const answer = reviewOf(pod(), "demo", "/inject/cluster/east/net/a--slash--b");
  assert.deepEqual([answer.allowed, answer.patchType], [true, "JSONPatch"]);
  const patch = JSON.parse(Buffer.from(answer.patch ?? "", "base64").toString("utf8")) as JsonPatchOperation[];
  const text = JSON.stringify(patch);
  assert.match(text, /"name":"ISTIO_META_CLUSTER_ID","value":"east"/);
  assert.match(text, /"name":"ISTIO_META_NETWORK","value":"a\/b"/);
});

test("a pod without injection passes without a patch, and one that cannot be injected is denied with the reason", () => {
  assert.deepEqual(reviewOf(pod(), "ambient"), { uid: "1", allowed: true });
  const denied = reviewOf(pod({ "sidecar.istio.io/proxyCPU": "much" }));
  assert.equal(denied.allowed, false);
  assert.match(
    denied.status?.message ?? "",
    /annotation sidecar\.istio\.io\/proxyCPU must be a quantity such as 100m or 128Mi, got "much"/,
  );
});
