import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { pilotPodsFindings, ztunnelFindings } from "./findings.ts";
import { controlPlaneOf, pilotPodsOf, rendersZtunnel } from "./rendered-control-plane.ts";

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

test("an upgrade of pods in ambient is blocked if the new revision has no ztunnel", () => {
  const ztunnel = (labels: Record<string, string>): UntypedObject => ({
    kind: "DaemonSet",
    metadata: { name: "ztunnel", namespace: "mesh" },
    spec: { template: { metadata: { labels: { app: "ztunnel", ...labels } } } },
  });
  const objects = [deployment("istiod-next", "next", "hub/pilot:1"), ztunnel({})];
  assert.equal(rendersZtunnel(objects, "next"), false);
  assert.equal(rendersZtunnel(objects, "default"), true);
  assert.equal(rendersZtunnel([...objects, ztunnel({ "istio.io/rev": "next" })], "next"), true);
  const found = (hasZtunnel: boolean | undefined, isRendered: boolean, namespaces: readonly string[]) =>
    ztunnelFindings("next", { hasZtunnel, isRendered }, namespaces).map(({ severity, message, objects: named, hint }) =>
      [severity, message, named?.join() ?? "", hint ?? ""].join(" | "),
    );
  assert.deepEqual(found(false, true, ["shop"]), [
    'blocked | spec.to.install renders no ztunnel of revision "next", to which the pods in ambient would move | Namespace shop | add profile: ambient, or components.ztunnel.enabled: true, to spec.to.install',
  ]);
  assert.match(
    found(false, false, ["shop"]).join(),
    /the cluster has no ztunnel .* helm install ztunnel-next istio\/ztunnel/,
  );
  for (const none of [found(true, true, ["shop"]), found(undefined, true, ["shop"]), found(false, true, [])])
    assert.deepEqual(none, []);
});
