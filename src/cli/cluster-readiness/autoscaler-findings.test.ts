import assert from "node:assert/strict";
import { test } from "node:test";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { autoscalerFindings } from "./autoscaler-findings.ts";

const autoscaler = (name: string, status: string, message: string): object => ({
  metadata: { namespace: "istio-system", name },
  status: {
    conditions: [
      { type: "AbleToScale", status: "True" },
      { type: "ScalingActive", status, message },
    ],
  },
});
const clusterOf = (items: readonly object[]): KubeClient =>
  ({
    list: async (_kind: unknown, { labelSelector }: { readonly labelSelector: string }) => {
      assert.equal(labelSelector, "operator.istio.io/component");
      return await Promise.resolve({ items, resourceVersion: "1" });
    },
  }) as unknown as KubeClient;

test("an autoscaler of the mesh in a cluster without metrics of pods is a warning, and one that waits for a pod is none", async () => {
  const absent =
    "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)";
  const starting = "failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)";
  const found = await autoscalerFindings(
    clusterOf([
      autoscaler("istiod", "False", absent),
      autoscaler("istio-ingressgateway", "False", starting),
      autoscaler("istiod-next", "True", ""),
      { metadata: { namespace: "istio-system", name: "new" } },
    ]),
  );
  assert.deepEqual(
    found.map(({ level, object }) => `${level} ${object}`),
    ["warning HorizontalPodAutoscaler istio-system/istiod"],
  );
});

test("a user who may not list autoscalers is told, and a server without them is no finding", async () => {
  const refusing = (code: "forbidden" | "not-found"): KubeClient =>
    ({ list: async () => await Promise.reject(userError(code, "bob may not")) }) as unknown as KubeClient;
  assert.match((await autoscalerFindings(refusing("forbidden")))[0]?.detail ?? "", /bob may not/);
  assert.deepEqual(await autoscalerFindings(refusing("not-found")), []);
});
