import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import type { KubernetesObject, UntypedObject } from "../../api/index.ts";
import {
  banzaiIstioKind,
  banzaiMeshGatewayKind,
  parseBanzaiIstio,
  parseBanzaiMeshGateway,
  type BanzaiIstio,
} from "../../api/banzai/index.ts";
import { renderBanzaiControlPlane, renderBanzaiGateway } from "../../install/index.ts";
import { MemoryCluster } from "../testing/memory-cluster.ts";
import { skippedMessage } from "./banzai-operator.ts";
import { answerRemoteIstios } from "./remote-istios.ts";
import { tellOfSecondOperator } from "./second-operator.ts";
import type { BanzaiWorld } from "./banzai-world.ts";
import { finalizer, reconcileControlPlane } from "./control-plane-reconciler.ts";
import { reconcileGateway } from "./gateway-reconciler.ts";
import { injectionLabelChanges } from "./injection-labels.ts";

const images = { hub: "registry.example/serin", tag: "0.2.0" };
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

const warnings: string[] = [];

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
    owned: {
      apply: async (object: UntypedObject) =>
        void (await cluster.apply(
          { group: "", versions: ["v1"], kind: object.kind ?? "", plural: "", namespaced: true },
          object,
          { fieldManager: "test" },
        )),
      forget: () => undefined,
    },
    images,
    definitions: async () => [],
    isOurs: ({ spec }: { spec?: Record<string, unknown> }) => String(spec?.["version"]).startsWith(`${minor}.`),
    warn: (_istio: unknown, message: string) => void warnings.push(message),
    gatewayAddressesOf: () => [],
  } as unknown as BanzaiWorld;
}

test("images with digests, and images that no runtime accepts, are deployed as the Istio object names them", () => {
  const digest = `@sha256:${"0a".repeat(32)}`;
  for (const [pilot, proxy] of [
    [`mirror.example/pilot:1.7.7${digest}`, `mirror.example/proxyv2:1.7.7${digest}`],
    [`mirror.example/pilot${digest}`, `mirror.example/proxyv2${digest}`],
    [`mirror.example/pilot:${"x".repeat(200)}`, "Mirror_x/proxyv2"],
  ] as const) {
    const istio = parsed(istioObject("sample", { pilot: { image: pilot }, proxy: { image: proxy } }));
    const deployment = renderBanzaiControlPlane(istio, images).find(({ kind }) => kind === "Deployment");
    assert.ok(deployment);
    const { template } = deployment["spec"] as { template: { spec: { containers: readonly { image: string }[] } } };
    assert.equal(template.spec.containers[0]?.image, pilot);
  }
});

test("a global control plane's names have no revision, and another one's end in its own", () => {
  const named = (global: boolean): string[] =>
    renderBanzaiControlPlane(parsed(istioObject("sample-17", { global })), images).map(
      ({ kind, metadata }) => `${kind}/${metadata.name}`,
    );
  for (const name of [
    "Deployment/istiod",
    "Service/istiod",
    "ServiceAccount/istiod-service-account",
    "HorizontalPodAutoscaler/istiod-autoscaler",
    "ConfigMap/istio-sidecar-injector",
    "MutatingWebhookConfiguration/istio-sidecar-injector",
    "ValidatingWebhookConfiguration/istiod",
  ]) {
    assert.ok(named(true).includes(name), name);
  }
  for (const name of [
    "Deployment/istiod-sample-17",
    "ServiceAccount/istiod-service-account-sample-17",
    "ConfigMap/istio-sample-17",
    "MutatingWebhookConfiguration/istio-sidecar-injector-sample-17-istio-system",
    "ValidatingWebhookConfiguration/istiod-sample-17-istio-system",
  ]) {
    assert.ok(named(false).includes(name), name);
  }
  const deployment = JSON.stringify(
    renderBanzaiControlPlane(parsed(istioObject("sample-17", { global: false })), images).find(
      ({ kind }) => kind === "Deployment",
    ),
  );
  assert.match(deployment, /"name":"REVISION","value":"sample-17.istio-system"/);
  assert.match(deployment, /"name":"ISTIOD_SERVICE_NAME","value":"istiod-sample-17"/);
  assert.match(deployment, /"image":"registry.example\/serin\/pilot:0.2.0"/);
});

test("the image fields of an Istio are used, whichever of them are set", () => {
  const imagesFor = (spec: object): string[] =>
    JSON.stringify(renderBanzaiControlPlane(parsed(istioObject("sample", spec)), images))
      .match(/[\w./-]+\/(?:pilot|proxyv2):[\w.]+/g)
      ?.toSorted() ?? [];
  assert.deepEqual(
    new Set(imagesFor({})),
    new Set(["registry.example/serin/pilot:0.2.0", "registry.example/serin/proxyv2:0.2.0"]),
  );
  const named = { pilot: { image: "own.example/pilot:1.6.8" }, proxy: { image: "own.example/proxyv2:1.6.8" } };
  assert.deepEqual(
    new Set(imagesFor({ ...named, proxyInit: { image: "own.example/proxyv2:1.6.9" } })),
    new Set(["own.example/pilot:1.6.8", "own.example/proxyv2:1.6.8", "own.example/proxyv2:1.6.9"]),
  );
});

test("Services of two control planes in one namespace lead only to their own pods", () => {
  const partsOf = (name: string, global: boolean) => {
    const objects = renderBanzaiControlPlane(
      parsed(istioObject(name, { global, version: global ? "1.6.8" : "1.7.7" })),
      images,
    );
    const specOf = (kind: string) =>
      objects.find((object) => object.kind === kind)?.["spec"] as {
        selector: Record<string, string>;
        template: { metadata: { labels: Record<string, string> } };
      };
    return { selector: specOf("Service").selector, labels: specOf("Deployment").template.metadata.labels };
  };
  const [old, next, another] = [partsOf("sample", true), partsOf("sample-v17x", false), partsOf("other", false)];
  const leadsTo = ({ selector }: typeof old, { labels }: typeof old): boolean =>
    Object.entries(selector).every(([key, value]) => labels[key] === value);
  for (const from of [old, next, another])
    assert.deepEqual(
      [old, next, another].map((to) => leadsTo(from, to)),
      [old, next, another].map((to) => to === from),
    );
});

test("listed namespaces are labelled, and left alone once they name a revision", () => {
  const namespace = (name: string, labels: Record<string, string> = {}) => ({ metadata: { name, labels } });
  const managed = { "istio-injection": "enabled", "istio-operator-managed-injection": "enabled" };
  const old = parsed(istioObject("old", { autoInjectionNamespaces: ["a", "b", "moved"] }));
  const moved = { "istio.io/rev": "new.istio-system", "istio-operator-managed-injection": "enabled" };
  assert.deepEqual(
    injectionLabelChanges(old, [
      namespace("a"),
      namespace("b", managed),
      namespace("left", managed),
      namespace("moved", moved),
      namespace("other", { "istio-injection": "enabled" }),
    ]),
    [
      { name: "a", labels: managed },
      { name: "left", labels: { "istio-injection": null, "istio-operator-managed-injection": null } },
    ],
  );
  const revisioned = parsed(istioObject("new", { version: "1.7.7", global: false }));
  assert.deepEqual(
    injectionLabelChanges(revisioned, [
      namespace("moved", { ...moved, "istio-injection": "enabled" }),
      namespace("a", managed),
    ]),
    [{ name: "moved", labels: { "istio-injection": null } }],
  );
});

test("a moved gateway belongs to its new control plane, and is never taken back", async () => {
  const cluster = new MemoryCluster();
  const ingress = { enabled: true, serviceType: "ClusterIP", ports };
  cluster.put("Istio", istioObject("old", { gateways: { ingress } }));
  cluster.put("Istio", istioObject("new", { version: "1.7.7", global: false }));
  await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
  const gateway = () =>
    cluster.find("MeshGateway", "istio-ingressgateway", "istio-system") as unknown as KubernetesObject & {
      spec: Record<string, unknown>;
    };
  assert.deepEqual(
    [gateway().spec["istioControlPlane"], gateway().metadata.ownerReferences?.[0]?.name],
    [{ name: "old", namespace: "istio-system" }, "old"],
  );
  await reconcileGateway(worldOf(cluster, "1.7"), "istio-system/istio-ingressgateway");
  assert.equal(gateway().metadata.ownerReferences?.[0]?.name, "old");
  cluster.put("MeshGateway", {
    ...gateway(),
    spec: { ...gateway().spec, istioControlPlane: { name: "new", namespace: "istio-system" } },
  } as KubernetesObject);
  await reconcileGateway(worldOf(cluster, "1.7"), "istio-system/istio-ingressgateway");
  await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
  assert.deepEqual(
    [gateway().spec["istioControlPlane"], gateway().metadata.ownerReferences?.[0]?.name],
    [{ name: "new", namespace: "istio-system" }, "new"],
  );
});

test("a move recreates the Deployment, because its selector names the revision, and keeps the Service", () => {
  const { value: gateway } = parseBanzaiMeshGateway({
    metadata: { name: "gw", namespace: "istio-system" },
    spec: { type: "ingress", ports, serviceType: "LoadBalancer" },
  });
  assert.ok(gateway);
  const selectors = ["old", "new"].map((name) => {
    const objects = renderBanzaiGateway(gateway, parsed(istioObject(name, { global: name === "old" })), images);
    const specOf = (kind: string) =>
      objects.find((object) => object.kind === kind)?.["spec"] as { selector: Record<string, unknown> };
    return { service: specOf("Service").selector, deployment: specOf("Deployment").selector["matchLabels"] };
  });
  assert.deepEqual(selectors[0]?.service, { "gateway-name": "gw", "gateway-type": "ingress" });
  assert.deepEqual(selectors[0]?.service, selectors[1]?.service);
  assert.deepEqual(selectors[1]?.deployment, {
    app: "gw",
    istio: "ingressgateway",
    "gateway-name": "gw",
    "gateway-type": "ingress",
    "istio.io/rev": "new.istio-system",
  });
});

test("deleting a control plane removes objects without an owner reference, webhooks first", async () => {
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
  assert.deepEqual(
    [cluster.names("MutatingWebhookConfiguration"), cluster.names("ClusterRole"), cluster.names("Istio")],
    [[], [], []],
  );
});

test("an object that has become invalid can still be deleted, and its control plane is removed", async () => {
  for (const invalid of [{ colour: "red" }, { version: "latest" }]) {
    const cluster = new MemoryCluster();
    cluster.put("Istio", istioObject("old", {}));
    await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
    const old = cluster.find("Istio", "old", "istio-system");
    cluster.put("Istio", {
      ...istioObject("old", invalid),
      metadata: { ...old?.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    });
    await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/old");
    assert.deepEqual([cluster.names("MutatingWebhookConfiguration"), cluster.names("Istio")], [[], []]);
  }
});

test("a second control plane without a revision, and an invalid object, report it in their status", async () => {
  const cluster = new MemoryCluster();
  cluster.put("Istio", {
    ...istioObject("first", {}),
    metadata: { name: "first", namespace: "istio-system", creationTimestamp: "2026-01-01T00:00:00Z" },
  });
  cluster.put("Istio", {
    ...istioObject("second", {}),
    metadata: { name: "second", namespace: "istio-system", creationTimestamp: "2026-01-02T00:00:00Z" },
  });
  cluster.put("Istio", istioObject("wrong", { global: "no", colour: "red" }));
  const statusOf = async (name: string): Promise<unknown> => {
    await reconcileControlPlane(worldOf(cluster, "1.6"), `istio-system/${name}`);
    return cluster.find("Istio", name, "istio-system")?.["status"];
  };
  cluster.put("Istio", istioObject("unstartable", { global: false, pilot: { traceSampling: 500 } }));
  assert.deepEqual(await statusOf("unstartable"), {
    Status: "ReconcileFailed",
    ErrorMessage: 'PILOT_TRACE_SAMPLING must be from 0 to 100, got "500"',
  });
  assert.deepEqual(await statusOf("second"), {
    Status: "ReconcileFailed",
    ErrorMessage: "istio-system/first is already a control plane without a revision; set spec.global to false",
  });
  assert.deepEqual(await statusOf("wrong"), {
    Status: "ReconcileFailed",
    ErrorMessage: 'spec.global: must be true or false, got "no"\nspec.colour: is not a known field',
  });
  // Any running operator reports an object that names no release.
  for (const version of [undefined, "1.6", "latest"]) {
    cluster.put("Istio", {
      metadata: { name: "odd", namespace: "istio-system" },
      spec: version === undefined ? {} : { version },
    } as KubernetesObject);
    assert.deepEqual(await statusOf("odd"), {
      Status: "ReconcileFailed",
      ErrorMessage:
        version === undefined
          ? "spec.version: is required"
          : `spec.version: must be a release such as 1.6.8, got "${version}"`,
    });
  }
  cluster.put("MeshGateway", {
    metadata: { name: "edge", namespace: "istio-system" },
    spec: { type: "ingress", ports, istioControlPlane: { name: "odd" } },
  } as KubernetesObject);
  await reconcileGateway(worldOf(cluster, "1.6"), "istio-system/edge");
  assert.deepEqual(cluster.find("MeshGateway", "edge", "istio-system")?.["status"], {
    Status: "ReconcileFailed",
    ErrorMessage: "spec.version of Istio istio-system/odd is not a known release: see its status",
  });
  assert.equal(
    skippedMessage("1.7.8", "1.6"),
    "version 1.7.8 is not for this operator, which manages Istio 1.6: install an operator for 1.7 too (istioVersion=1.7)",
  );
  assert.deepEqual([banzaiIstioKind.plural, banzaiMeshGatewayKind.plural], ["istios", "meshgateways"]);
});

test("a MeshGateway with invalid fields lists them all in its status, and creates nothing", async () => {
  const cluster = new MemoryCluster();
  cluster.put("Istio", istioObject("first", {}));
  const statusOf = async (spec: object): Promise<unknown> => {
    cluster.put("MeshGateway", { metadata: { name: "gw", namespace: "istio-system" }, spec } as KubernetesObject);
    await reconcileGateway(worldOf(cluster, "1.6"), "istio-system/gw");
    return cluster.find("MeshGateway", "gw", "istio-system")?.["status"];
  };
  assert.deepEqual(
    await statusOf({
      type: "both",
      serviceType: "Public",
      ports: [{ port: 70_000 }],
      istioControlPlane: {},
      replica: 2,
    }),
    {
      Status: "ReconcileFailed",
      ErrorMessage: [
        "spec.istioControlPlane.name: is required",
        "spec.ports[0].port: must be from 1 to 65535, got 70000",
        "spec.ports[0].name: is required",
        'spec.serviceType: must be one of ClusterIP, NodePort, LoadBalancer, got "Public"',
        'spec.type: must be one of ingress, egress, got "both"',
        "spec.replica: is not a known field; did you mean replicaCount?",
      ].join("\n"),
    },
  );
  assert.deepEqual(await statusOf({ type: "ingress", ports, istioControlPlane: { name: "gone" } }), {
    Status: "ReconcileFailed",
    ErrorMessage: "could not get related Istio CR: there is no Istio istio-system/gone",
  });
  assert.deepEqual(cluster.names("Deployment"), []);
});

test("obsolete settings get a warning, and the rest is applied", async () => {
  const cluster = new MemoryCluster();
  cluster.put("Istio", istioObject("first", { mixer: { enabled: true } }));
  warnings.length = 0;
  await reconcileControlPlane(worldOf(cluster, "1.6"), "istio-system/first");
  assert.deepEqual(warnings, ["spec.mixer.enabled: has no effect: releases from 1.8 on do not have it"]);
  assert.deepEqual(cluster.find("Istio", "first", "istio-system")?.["status"], { Status: "Available" });
});

test("the second operator of a release does nothing and reports it in its log and on the objects, but a replica of the first waits", async () => {
  const cluster = new MemoryCluster();
  cluster.put("Istio", istioObject("sample", {}));
  cluster.put("Istio", istioObject("newer", { version: "1.7.7" }));
  const logOf = async (identity: string, settled: () => boolean): Promise<string[]> => {
    const lines: string[] = [];
    const log = createLogger({ scope: "operator", write: (line) => void lines.push(line) });
    const ended = new AbortController();
    const running = tellOfSecondOperator(
      { client: cluster, minor: "1.6", identity, holder: "istio-system/istio-operator-a-0", clock: systemClock, log },
      ended.signal,
    );
    await until(() => lines.length > 0 && settled());
    ended.abort();
    await running;
    return lines;
  };
  assert.match(
    (await logOf("istio-system/istio-operator-a-1", () => true)).join(""),
    /\tinfo\toperator\tistio-system\/istio-operator-a-0 is the active replica: this one takes over when it ends/,
  );
  assert.deepEqual(cluster.names("Event"), []);
  assert.match(
    (await logOf("ops/istio-operator-b-0", () => cluster.names("Event").length === 1)).join(""),
    /\twarn\toperator\tistio-system\/istio-operator-a-0 already manages Istio 1.6: this operator stays idle until it ends/,
  );
  const event = cluster.find("Event", cluster.names("Event")[0] ?? "") as unknown as {
    involvedObject: { name: string };
    type: string;
    reason: string;
    message: string;
  };
  assert.deepEqual([event.involvedObject.name, event.type, event.reason], ["sample", "Warning", "SecondOperator"]);
  assert.equal(
    event.message,
    "two operators of Istio 1.6 are running: istio-system/istio-operator-a-0 manages this object, ops/istio-operator-b-0 is idle; uninstall one of them",
  );
  assert.deepEqual(
    [cluster.names("Deployment"), cluster.find("Istio", "sample", "istio-system")?.["status"]],
    [[], undefined],
  );
});

test("the status of a RemoteIstio says that it is not supported", async () => {
  const cluster = new MemoryCluster();
  cluster.put("RemoteIstio", { metadata: { name: "far", namespace: "istio-system" } });
  const ended = new AbortController();
  const running = answerRemoteIstios({ client: cluster, clock: systemClock, log: silentLogger }, ended.signal);
  const status = (): { Status?: string; ErrorMessage?: string } | undefined =>
    cluster.find("RemoteIstio", "far", "istio-system")?.["status"] as { Status?: string };
  await until(() => status() !== undefined);
  ended.abort();
  await running;
  assert.equal(status()?.Status, "Unmanaged");
  assert.match(status()?.ErrorMessage ?? "", /^RemoteIstio is not supported and has no effect\. /);
});
