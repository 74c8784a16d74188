import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { pilotPodsFindings } from "./findings.ts";
import { controlPlaneOf, pilotPodsOf } from "./rendered-control-plane.ts";

function deployment(name: string, revision: string | undefined, image: string): UntypedObject {
  const labels = { app: "istiod", ...(revision === undefined ? {} : { "istio.io/rev": revision }) };
  const containers = [{ name: "discovery", image }];
  return {
    kind: "Deployment",
    metadata: { name, namespace: "mesh", labels },
    spec: { template: { spec: { containers } } },
  };
}

function configMap(name: string, namespace: string, data: object): UntypedObject {
  return { kind: "ConfigMap", metadata: { name, namespace }, data };
}

test("a revision's control plane has the configuration with its suffix, of its own namespace", () => {
  const objects = [
    deployment("istiod", undefined, "hub/pilot:1.2.3"),
    deployment("istiod-next", "next", "hub/pilot:1.3.0-distroless"),
    configMap("istio", "mesh", { mesh: "default's" }),
    configMap("istio-next", "elsewhere", { mesh: "another's" }),
    configMap("istio-next", "mesh", { mesh: "next's" }),
    configMap("istio-sidecar-injector-next", "mesh", { config: "c", values: "v" }),
  ];
  const { namespace, version, mesh, injector } = controlPlaneOf(objects, "next") ?? assert.fail();
  assert.deepEqual(
    { namespace, version, mesh, injector },
    { namespace: "mesh", version: "1.3.0", mesh: "next's", injector: { config: "c", values: "v" } },
  );
  assert.equal(controlPlaneOf(objects, "default")?.mesh, "default's");
  assert.equal(controlPlaneOf(objects, "other"), undefined);
});

test("an image without a tag gives no version", () => {
  assert.equal(controlPlaneOf([deployment("istiod", "a", "hub:5000/pilot")], "a")?.version, "");
});

test("a new control plane with fewer pods than the old one is a warning that says what to set", () => {
  const plain = deployment("istiod-next", "next", "hub/pilot:1.3.0");
  const withPods = (replicas: number): UntypedObject => ({ ...plain, spec: { replicas } });
  const autoscaler = (minReplicas: number): UntypedObject => ({
    kind: "HorizontalPodAutoscaler",
    metadata: { name: "istiod-next", namespace: "mesh" },
    spec: { minReplicas, scaleTargetRef: { kind: "Deployment", name: "istiod-next" } },
  });
  const warned = (objects: readonly UntypedObject[], count: number, isRendered = true): string | undefined => {
    const pods = pilotPodsOf(objects, "next") ?? assert.fail();
    const [finding] = pilotPodsFindings({ revision: "old", count }, pods, { revision: "next", isRendered });
    return finding === undefined ? undefined : `${finding.message}; ${finding.hint ?? ""}`;
  };
  const one =
    "revision next begins with 1 pod of istiod, and revision old has 2: while its only pod restarts, no proxy gets configuration or a certificate of it; ";
  assert.equal(warned([plain, autoscaler(1)], 2), `${one}set values.pilot.autoscaleMin: 2 in spec.to.install`);
  assert.equal(warned([withPods(1)], 2), `${one}set values.pilot.replicaCount: 2 in spec.to.install`);
  assert.equal(warned([withPods(1)], 2, false), `${one}kubectl -n mesh scale deployment istiod-next --replicas 2`);
  assert.match(warned([plain, autoscaler(2)], 3) ?? "", /begins with 2 pods of istiod, and revision old has 3; set/);
  assert.equal(warned([plain, autoscaler(2)], 2), undefined);
  assert.equal(warned([plain], 1), undefined);
});
