import assert from "node:assert/strict";
import { test } from "node:test";
import type { InjectedWorkload } from "./static-checks/workloads.ts";
import { injectableWorkloads } from "./injectable-workload.ts";

function workload(kind: string, more: object = {}): InjectedWorkload {
  const object = {
    metadata: { name: "web", namespace: "shop" },
    spec: { template: { metadata: { labels: { a: "b" } } } },
  };
  return { kind, object, pods: [{ metadata: {} }], ...more } as unknown as InjectedWorkload;
}

test("a workload asks for injection by its label, and for the kind of sidecar that its pods have", () => {
  const pods = [{ metadata: {}, spec: { containers: [], initContainers: [{ name: "istio-proxy" }] } }];
  const [plain, native] = injectableWorkloads([workload("Deployment"), workload("StatefulSet", { pods })]).map(
    ({ spec }) => (spec as { template: { metadata: unknown } }).template.metadata,
  );
  assert.deepEqual(plain, {
    labels: { a: "b", "sidecar.istio.io/inject": "true" },
    annotations: { "sidecar.istio.io/nativeSidecar": "false" },
  });
  assert.deepEqual((native as { annotations: unknown }).annotations, { "sidecar.istio.io/nativeSidecar": "true" });
});

test("gateways of an installation, Jobs and workloads whose object is gone are left out", () => {
  const gateway = { metadata: { labels: { "operator.istio.io/component": "IngressGateways" } } };
  assert.deepEqual(
    injectableWorkloads([
      workload("Deployment", { pods: [gateway] }),
      workload("Job"),
      workload("Deployment", { object: undefined }),
    ]),
    [],
  );
});
