import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { KubernetesObject, UntypedObject } from "../../api/index.ts";
import { banzaiIstioKind, banzaiMeshGatewayKind, parseBanzaiIstio, type BanzaiIstio } from "../../api/banzai/index.ts";
import { renderBanzaiControlPlane, renderBanzaiGateway } from "../../install/index.ts";
import { parseBanzaiMeshGateway } from "../../api/banzai/index.ts";
import { MemoryCluster } from "../testing/memory-cluster.ts";
import { skippedMessage } from "./banzai-operator.ts";
import type { BanzaiWorld } from "./banzai-world.ts";
import { finalizer, reconcileControlPlane } from "./control-plane-reconciler.ts";
import { reconcileGateway } from "./gateway-reconciler.ts";
import { injectionLabelChanges } from "./injection-labels.ts";

const ports = [{ name: "http2", port: 80, targetPort: 8080 }];

function istioObject(name: string, spec: object): KubernetesObject & { spec: Record<string, unknown> } {
  return { metadata: { name, namespace: "istio-system" }, spec: { version: "1.6.8", ...spec } };
}

function parsed(object: KubernetesObject): BanzaiIstio {
  const { value, errors } = parseBanzaiIstio(object);
  assert.deepEqual(errors, []);
  assert.ok(value);
  return value;
}

function worldOf(cluster: MemoryCluster, minor: string): BanzaiWorld {
  const informer = (kind: string) => ({
    get: (key: string) => cluster.find(kind, key),
    list: () => cluster.names(kind).map((name) => cluster.find(kind, name)),
  });
  return {
    client: cluster,
    clock: systemClock,
    log: silentLogger,
    fieldManager: "test",
    istios: informer("Istio"),
    gateways: informer("MeshGateway"),
    namespaces: informer("Namespace"),
    owned: { apply: async (object: UntypedObject) => void (await cluster.apply({ group: "", versions: ["v1"], kind: object.kind ?? "", plural: "", namespaced: true }, object, { fieldManager: "test" })), forget: () => undefined },
    definitions: async () => [],
    isOurs: ({ spec }: { spec?: Record<string, unknown> }) => String(spec?.["version"]).startsWith(`${minor}.`),
    gatewayAddressesOf: () => [],
  } as unknown as BanzaiWorld;
}

test("a control plane has the operators' names: without a revision when it is global, else ending in its own", () => {
  const named = (global: boolean): string[] => renderBanzaiControlPlane(parsed(istioObject("sample-17", { global }))).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  for (const name of ["Deployment/istiod", "Service/istiod", "ServiceAccount/istiod-service-account", "HorizontalPodAutoscaler/istiod-autoscaler", "ConfigMap/istio-sidecar-injector", "MutatingWebhookConfiguration/istio-sidecar-injector", "ValidatingWebhookConfiguration/istiod"]) {
    assert.ok(named(true).includes(name), name);
  }
  for (const name of ["Deployment/istiod-sample-17", "ServiceAccount/istiod-service-account-sample-17", "ConfigMap/istio-sample-17", "MutatingWebhookConfiguration/istio-sidecar-injector-sample-17-istio-system", "ValidatingWebhookConfiguration/istiod-sample-17-istio-system"]) {
    assert.ok(named(false).includes(name), name);
  }
  const deployment = JSON.stringify(renderBanzaiControlPlane(parsed(istioObject("sample-17", { global: false }))).find(({ kind }) => kind === "Deployment"));
  assert.match(deployment, /"name":"REVISION","value":"sample-17.istio-system"/);
  assert.match(deployment, /"name":"ISTIOD_SERVICE_NAME","value":"istiod-sample-17"/);
  assert.match(deployment, /"image":"docker.io\/istio\/pilot:1.6.8"/);
});

test("namespaces are labelled while they are listed, and left alone once they name a revision", () => {
  const namespace = (name: string, labels: Record<string, string> = {}) => ({ metadata: { name, labels } });
  const managed = { "istio-injection": "enabled", "istio-operator-managed-injection": "enabled" };
  const old = parsed(istioObject("old", { autoInjectionNamespaces: ["a", "b", "moved"] }));
  const moved = { "istio.io/rev": "new.istio-system", "istio-operator-managed-injection": "enabled" };
  assert.deepEqual(injectionLabelChanges(old, [namespace("a"), namespace("b", managed), namespace("left", managed), namespace("moved", moved), namespace("other", { "istio-injection": "enabled" })]), [
    { name: "a", labels: managed },
    { name: "left", labels: { "istio-injection": null, "istio-operator-managed-injection": null } },
  ]);
  const revisioned = parsed(istioObject("new", { version: "1.7.7", global: false }));
  assert.deepEqual(injectionLabelChanges(revisioned, [namespace("moved", { ...moved, "istio-injection": "enabled" }), namespace("a", managed)]), [{ name: "moved", labels: { "istio-injection": null } }]);
});

test("a moved gateway is taken over by the control plane that it moved to, and never taken back", async () => {
  const cluster = new MemoryCluster();
  const ingress = { enabled: true, serviceType: "ClusterIP", ports };
  cluster.put("Istio", istioObject("old", { gateways: { ingress } }));
  cluster.put("Istio", istioObject("new", { version: "1.7.7", global: false }));
  await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
  const gateway = () => cluster.find("MeshGateway", "istio-ingressgateway", "istio-system") as unknown as KubernetesObject & { spec: Record<string, unknown> };
  assert.deepEqual([gateway().spec["istioControlPlane"], gateway().metadata.ownerReferences?.[0]?.name], [{ name: "old", namespace: "istio-system" }, "old"]);
  await reconcileGateway(worldOf(cluster, "1.7"), "istio-system/istio-ingressgateway");
  assert.equal(gateway().metadata.ownerReferences?.[0]?.name, "old");
  cluster.put("MeshGateway", { ...gateway(), spec: { ...gateway().spec, istioControlPlane: { name: "new", namespace: "istio-system" } } } as KubernetesObject);
  await reconcileGateway(worldOf(cluster, "1.7"), "istio-system/istio-ingressgateway");
  await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
  assert.deepEqual([gateway().spec["istioControlPlane"], gateway().metadata.ownerReferences?.[0]?.name], [{ name: "new", namespace: "istio-system" }, "new"]);
});

test("a move recreates the Deployment, as its selector names the revision, and keeps the Service", () => {
  const { value: gateway } = parseBanzaiMeshGateway({ metadata: { name: "gw", namespace: "istio-system" }, spec: { type: "ingress", ports, serviceType: "LoadBalancer" } });
  assert.ok(gateway);
  const selectors = ["old", "new"].map((name) => {
    const objects = renderBanzaiGateway(gateway, parsed(istioObject(name, { global: name === "old" })));
    const specOf = (kind: string) => objects.find((object) => object.kind === kind)?.["spec"] as { selector: Record<string, unknown> };
    return { service: specOf("Service").selector, deployment: specOf("Deployment").selector["matchLabels"] };
  });
  assert.deepEqual(selectors[0]?.service, { "gateway-name": "gw", "gateway-type": "ingress" });
  assert.deepEqual(selectors[0]?.service, selectors[1]?.service);
  assert.deepEqual(selectors[1]?.deployment, { app: "gw", istio: "ingressgateway", "gateway-name": "gw", "gateway-type": "ingress", "istio.io/rev": "new.istio-system" });
});

test("the end of a control plane takes what no owner reference reaches, webhooks first", async () => {
  const cluster = new MemoryCluster();
  cluster.put("Istio", istioObject("old", {}));
  await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
  const old = cluster.find("Istio", "old", "istio-system");
  assert.deepEqual(old?.metadata.finalizers, [finalizer]);
  assert.equal((old["status"] as { Status: string }).Status, "Available");
  cluster.put("Istio", { ...old, metadata: { ...old.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });
  cluster.writes.length = 0;
  await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
  assert.match(cluster.writes.find((write) => write.startsWith("delete")) ?? "", /WebhookConfiguration/);
  assert.deepEqual([cluster.names("MutatingWebhookConfiguration"), cluster.names("ClusterRole"), cluster.find("Istio", "old", "istio-system")?.metadata.finalizers], [[], [], []]);
});

test("a second control plane without a revision, and an object that cannot be read, say so in their status", async () => {
  const cluster = new MemoryCluster();
  cluster.put("Istio", { ...istioObject("first", {}), metadata: { name: "first", namespace: "istio-system", creationTimestamp: "2026-01-01T00:00:00Z" } });
  cluster.put("Istio", { ...istioObject("second", {}), metadata: { name: "second", namespace: "istio-system", creationTimestamp: "2026-01-02T00:00:00Z" } });
  cluster.put("Istio", istioObject("wrong", { global: "no", colour: "red" }));
  const statusOf = async (name: string): Promise<unknown> => {
    await reconcileControlPlane(worldOf(cluster, "1.6"), `istio-system/${name}`);
    return cluster.find("Istio", name, "istio-system")?.["status"];
  };
  assert.deepEqual(await statusOf("second"), { Status: "ReconcileFailed", ErrorMessage: "istio-system/first is a control plane without a revision already; set spec.global to false" });
  assert.deepEqual(await statusOf("wrong"), { Status: "ReconcileFailed", ErrorMessage: 'spec.global: must be true or false, got "no"\nspec.colour: is not a field that is known here' });
  assert.equal(skippedMessage("1.7.8", "1.6"), "version 1.7.8 is not for this operator, which looks after Istio 1.6: an operator of 1.7 has to run as well (istioVersion=1.7)");
  assert.deepEqual([banzaiIstioKind.plural, banzaiMeshGatewayKind.plural], ["istios", "meshgateways"]);
});
