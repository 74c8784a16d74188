import assert from "node:assert/strict";
import { KeyObject, webcrypto, X509Certificate } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { after, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { gatewayKind, httpRouteKind } from "../api/gateway/index.ts";
import { destinationRuleKind, virtualServiceKind } from "../api/istio/index.ts";
import {
  configMapKind,
  deploymentKind,
  type Deployment,
  namespaceKind,
  type Node,
  nodeKind,
  type Pod,
  podKind,
  serviceAccountKind,
  serviceKind,
} from "../api/kubernetes/index.ts";
import { ShutdownController, silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { MetricsRegistry } from "../telemetry/index.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "../wire/workload/index.ts";
import { ProxyConfigSchema } from "../wire/discovery/index.ts";
import { discoveryMethods, typeUrls } from "../wire/xds/index.ts";
import { Pkcs10CertificateRequestGenerator } from "./ca/testing/csr.ts";
import { ControlPlane } from "./control-plane.ts";
import { readControlPlaneSettings } from "../api/pilot-settings/index.ts";
import { DiscoveryTestClient } from "./serve/testing/discovery-client.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { config, namespace, pod, service } from "./testing/model-fixture.ts";
import { discoveryArguments, freeOwnPorts } from "./testing/own-ports.ts";

const address = "127.0.0.1";
const ports = await freeOwnPorts(address);
const kube = new FakeKubeClient();
kube.put(namespaceKind, namespace("istio-system"));
kube.put(namespaceKind, namespace("shop"));
kube.put(serviceKind, service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]));
kube.put(serviceAccountKind, { metadata: { name: "web", namespace: "shop" } });
kube.put(podKind, pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, account: "web" }));
const ztunnelPod = kube.put(
  podKind,
  pod("istio-system/ztunnel-1", "10.244.1.2", { account: "ztunnel", redirected: false }),
);
kube.tokens.set("node-token", {
  username: "system:serviceaccount:istio-system:ztunnel",
  pod: "ztunnel-1",
  podUid: ztunnelPod.metadata.uid ?? "",
});

const settings = readControlPlaneSettings(
  discoveryArguments(address, ports),
  {
    HUB: "lab",
    TAG: "1.2.3",
    POD_NAME: "istiod-1",
    ISTIO_MULTIROOT_MESH: "true",
    PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS: "true",
    PILOT_ENABLE_ANALYSIS: "true",
  },
  "0.0.0",
);
const shutdown = new ShutdownController();
const done = new ControlPlane({
  client: kube,
  settings,
  version: "1.2.3",
  metrics: new MetricsRegistry(),
  clock: systemClock,
  log: silentLogger,
}).run(shutdown);
after(async () => {
  shutdown.request("the test is over");
  shutdown.request("the test is over");
  await done;
});
await until(async () =>
  (await fetch(`http://${address}:${ports.http}/ready`).catch(() => undefined))?.status === 200 ? true : undefined,
);
const root =
  (await until(async () => await kube.get(configMapKind, "istio-ca-root-cert", "shop"))).data?.["root-cert.pem"] ?? "";
const credentials = grpc.credentials.createSsl(Buffer.from(root), null, null, {
  checkServerIdentity: (_host, certificate) =>
    certificate.subjectaltname?.includes("DNS:istiod.istio-system.svc") === true ? undefined : new Error("wrong name"),
});
const headers = { authorization: "Bearer node-token" };
const ztunnelNode = "ztunnel~10.244.1.2~ztunnel-1.istio-system~istio-system.svc.cluster.local";

test("a ztunnel that authenticates by token gets a pod's change, and its acknowledgement is reported", async () => {
  const client = new DiscoveryTestClient("delta", `${address}:${ports.secure}`, ztunnelNode, { credentials, headers });
  client.send({ typeUrl: typeUrls.address });
  const first = await client.next();
  assert.ok(first.resources.some((resource) => resource.name === "Kubernetes//Pod/shop/web-1"));
  client.send({ typeUrl: typeUrls.address, responseNonce: first.nonce });
  const changed = kube.put(
    podKind,
    pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, account: "web", ready: false }),
  );
  const second = await client.next();
  assert.deepEqual(
    second.resources.map((resource) => resource.name),
    ["Kubernetes//Pod/shop/web-1"],
  );
  const send = async (version: string): Promise<unknown> =>
    await (
      await fetch(
        `http://${address}:${ports.http}/debug/serin/acknowledged?kind=Pod&group=&namespace=shop&name=web-1&resourceVersion=${version}`,
      )
    ).json();
  const proxy = { id: "ztunnel-1.istio-system", type: "ztunnel", connected: true, rejected: null };
  assert.deepEqual(await send(changed.metadata.resourceVersion ?? ""), {
    revision: "default",
    processed: true,
    proxies: [{ ...proxy, acknowledged: false }],
  });
  client.send({ typeUrl: typeUrls.address, responseNonce: second.nonce });
  await until(async () =>
    JSON.stringify(await send(changed.metadata.resourceVersion ?? "")).includes('"acknowledged":true')
      ? true
      : undefined,
  );
  assert.deepEqual(await send("999999"), { revision: "default", processed: false, proxies: [] });
  const incomplete = await fetch(`http://${address}:${ports.http}/debug/serin/acknowledged?kind=Pod`);
  assert.deepEqual(
    [incomplete.status, (await incomplete.text()).split(",", 2)],
    [400, ["the query needs name", " resourceVersion of an object"]],
  );
  client.close();
});

test("on the port without TLS, a proxy's only proof is the address of its pod, and other clients' answers do not steer rollouts", async () => {
  const version = kube.put(podKind, pod("shop/edge-1", address, { account: "edge" })).metadata.resourceVersion ?? "";
  const connect = (name: string): Disposable => {
    const id = `router~10.244.1.5~${name}~shop.svc.cluster.local`;
    const client = new DiscoveryTestClient("delta", `${address}:${ports.grpc}`, id);
    client.send({ typeUrl: typeUrls.cluster });
    return { [Symbol.dispose]: () => client.close() };
  };
  using _edge = connect("edge-1.shop");
  using _web = connect("web-1.shop");
  using _nobody = connect("nobody.shop");
  const send = async (path: string): Promise<unknown> =>
    await (await fetch(`http://${address}:${ports.http}/debug/serin/${path}`)).json();
  const proxies = await until(async () => {
    const found = (await send("proxies")) as { id: string; unproven?: true }[];
    const ofShop = found.filter(({ id }) => id.endsWith(".shop"));
    return ofShop.length === 3 ? ofShop.map(({ id, unproven }) => [id, unproven]) : undefined;
  });
  assert.deepEqual(proxies, [
    ["edge-1.shop", undefined],
    ["nobody.shop", true],
    ["web-1.shop", true],
  ]);
  const counted = await until(async () => {
    const found = (await send(
      `acknowledged?kind=Pod&group=&namespace=shop&name=edge-1&resourceVersion=${version}`,
    )) as {
      processed: boolean;
      proxies: { id: string }[];
    };
    return found.processed ? found.proxies.map(({ id }) => id).filter((id) => id.endsWith(".shop")) : undefined;
  });
  assert.deepEqual(counted, ["edge-1.shop"]);
});

test("with PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS, a node whose CNI agent is ready loses the taint cni.istio.io/not-ready", async () => {
  const taint = { key: "cni.istio.io/not-ready", effect: "NoSchedule" } as const;
  kube.put(nodeKind, { metadata: { name: "new" }, spec: { taints: [taint] } } as Node);
  kube.put(podKind, {
    metadata: { namespace: "istio-system", name: "istio-cni-node-1", labels: { "k8s-app": "istio-cni-node" } },
    spec: { nodeName: "new", hostNetwork: true, containers: [] },
    status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] },
  } as Pod);
  await until(async () => ((await kube.get(nodeKind, "new"))?.spec?.taints === undefined ? true : undefined));
});

test("a request with an invalid path is answered, and the server continues", async () => {
  for (const [port, module] of [
    [ports.http, http],
    [ports.webhooks, https],
  ] as const) {
    const status = await new Promise((resolve, reject) => {
      module
        .get({ host: address, port, path: "//", rejectUnauthorized: false }, (response) =>
          resolve(response.resume().statusCode),
        )
        .on("error", reject);
    });
    assert.ok(status === 404 || status === 400, `${port}`);
  }
});

test("callers without credentials, or with those of another namespace or account, are refused", async () => {
  const nobody = new DiscoveryTestClient("delta", `${address}:${ports.secure}`, ztunnelNode, { credentials });
  nobody.send({ typeUrl: typeUrls.address });
  await assert.rejects(nobody.next(), /neither a token nor a client certificate/);
  nobody.close();
  const other = new DiscoveryTestClient(
    "delta",
    `${address}:${ports.secure}`,
    "ztunnel~10.0.0.1~x.shop~shop.svc.cluster.local",
    { credentials, headers },
  );
  other.send({ typeUrl: typeUrls.address });
  await assert.rejects(other.next(), /its credentials are for istio-system\/ztunnel/);
  other.close();
  const account = new DiscoveryTestClient("delta", `${address}:${ports.secure}`, ztunnelNode, {
    credentials,
    headers,
    metadata: { SERVICE_ACCOUNT: "admin" },
  });
  account.send({ typeUrl: typeUrls.address });
  await assert.rejects(
    account.next(),
    /claims to be istio-system\/admin, but its credentials are for istio-system\/ztunnel/,
  );
  account.close();
});

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const newKeys = async () => await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

/** Asks with the node proxy's token for a certificate of an account of the namespace `shop`. Returns its chain. */
async function certificateOf(account: string, keys: Awaited<ReturnType<typeof newKeys>>): Promise<readonly string[]> {
  const csr = (
    await Pkcs10CertificateRequestGenerator.create({ name: "O=x", keys, signingAlgorithm: algorithm })
  ).toString("pem");
  const request = toBinary(
    IstioCertificateRequestSchema,
    create(IstioCertificateRequestSchema, {
      csr,
      metadata: { ImpersonatedIdentity: `spiffe://cluster.local/ns/shop/sa/${account}` },
    }),
  );
  const client = new grpc.Client(`${address}:${ports.secure}`, credentials);
  const metadata = new grpc.Metadata();
  metadata.set("authorization", headers.authorization);
  const bytes = (value: Buffer): Buffer => value;
  const answer = await new Promise<Buffer>((resolve, reject) => {
    client.makeUnaryRequest(
      discoveryMethods.createCertificate,
      bytes,
      bytes,
      Buffer.from(request),
      metadata,
      (error, value) =>
        error === null && value !== undefined ? resolve(value) : reject(error ?? new Error("no answer")),
    );
  }).finally(() => client.close());
  return fromBinary(IstioCertificateResponseSchema, answer).certChain;
}

test("a node proxy gets no certificate for a pod without an account, such as a mirror pod that its kubelet makes anywhere", async () => {
  const { metadata, spec, status } = pod("shop/static-node-1", "10.244.1.9") as Pod;
  const { serviceAccountName: _account, ...rest } = spec ?? { containers: [] };
  kube.put(podKind, {
    metadata: { ...metadata, annotations: { "kubernetes.io/config.mirror": "0123" } },
    spec: rest,
    status,
  } as Pod);
  kube.put(podKind, pod("shop/late-1", "10.244.1.10", { account: "late" }));
  const keys = await newKeys();
  // The control plane handles pods in order. When it grants the certificate of `late`, it has also seen the mirror pod.
  await until(async () => await certificateOf("late", keys).catch(() => undefined));
  await assert.rejects(certificateOf("default", keys), /no pod of shop\/default runs on the node node-1/);
});

test("a node proxy gets the certificate of a pod on its node over gRPC, and that certificate authenticates too", async () => {
  const keys = await newKeys();
  const certChain = await certificateOf("web", keys);
  assert.equal(new X509Certificate(certChain[0] ?? "").subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/web");

  // The owner of this certificate may open a stream without a token.
  const privateKey = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" });
  const own = grpc.credentials.createSsl(
    Buffer.from(root),
    Buffer.from(privateKey),
    Buffer.from(certChain.join("\n")),
    { checkServerIdentity: () => undefined },
  );
  const stream = new DiscoveryTestClient(
    "delta",
    `${address}:${ports.secure}`,
    "router~10.244.1.5~web-1.shop~shop.svc.cluster.local",
    { credentials: own },
  );
  stream.send({ typeUrl: typeUrls.cluster });
  assert.ok(
    (await stream.next()).resources.some((resource) => resource.name === "outbound|80||web.shop.svc.cluster.local"),
  );
  stream.close();
});

test("a Gateway gets its objects and status, and its proxies their listeners as soon as their pod is known", async () => {
  kube.put(
    gatewayKind,
    config("Gateway", "shop/edge", {
      gatewayClassName: "istio",
      listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
    }),
  );
  kube.put(
    httpRouteKind,
    config("HTTPRoute", "shop/web", {
      parentRefs: [{ name: "edge" }],
      rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
    }),
  );
  const deployment = await until(async () => await kube.get(deploymentKind, "edge-istio", "shop"));
  assert.equal(deployment.spec?.template.spec?.containers[0]?.image, "lab/proxyv2:1.2.3");
  assert.equal(deployment.metadata.labels?.["istio.io/rev"], "default");
  const exposed = await until(async () => await kube.get(serviceKind, "edge-istio", "shop"));
  assert.deepEqual(
    exposed.spec?.ports?.map((port) => port.port),
    [15_021, 80],
  );
  const status = await until(async () => (await kube.get(httpRouteKind, "web", "shop"))?.status?.parents?.[0]);
  assert.deepEqual(
    status.conditions.map((condition) => [condition.type, condition.status]),
    [
      ["Accepted", "True"],
      ["ResolvedRefs", "True"],
    ],
  );

  const client = new DiscoveryTestClient(
    "delta",
    `${address}:${ports.grpc}`,
    "router~10.244.1.9~edge-istio-1.shop~shop.svc.cluster.local",
  );
  client.send({ typeUrl: typeUrls.listener });
  kube.put(
    podKind,
    pod("shop/edge-istio-1", "10.244.1.9", {
      labels: { "gateway.networking.k8s.io/gateway-name": "edge" },
      redirected: false,
    }),
  );
  const listeners = await client.next();
  assert.deepEqual(listeners.resources.map((resource) => resource.name).sort(), ["0.0.0.0_80", "connect_originate"]);
  client.close();
});

for (const { className, kind, protocol } of [
  { className: "istio", kind: "router", protocol: "HTTP" },
  { className: "istio-waypoint", kind: "waypoint", protocol: "HBONE" },
])
  test(`a proxy of class ${className} loses every listener with its Gateway, so that it ends soon`, async () => {
    const name = `gone-${className}`;
    const gateway = kube.put(
      gatewayKind,
      config("Gateway", `shop/${name}`, {
        gatewayClassName: className,
        listeners: [{ name: "mesh", port: 15_008, protocol }],
      }),
    );
    const labels = {
      "gateway.networking.k8s.io/gateway-name": name,
      "gateway.networking.k8s.io/gateway-class-name": className,
    };
    const client = new DiscoveryTestClient(
      "delta",
      `${address}:${ports.grpc}`,
      `${kind}~10.244.1.19~${name}-1.shop~shop.svc.cluster.local`,
      { metadata: { LABELS: labels } },
    );
    kube.put(podKind, pod(`shop/${name}-1`, "10.244.1.19", { labels, redirected: false }));
    client.send({ typeUrl: typeUrls.listener });
    const held = new Set<string>();
    const more = async (): Promise<void> => {
      const answer = await client.next();
      for (const resource of answer.resources) held.add(resource.name);
      for (const removed of answer.removedResources) held.delete(removed);
      client.send({ typeUrl: typeUrls.listener, responseNonce: answer.nonce });
    };
    while (held.size === 0) await more();
    await kube.delete(gatewayKind, gateway.metadata.name ?? "", "shop");
    while (held.size > 0) await more();
    client.close();
  });

test("a sidecar gets clusters, listeners and routes once its pod is known, and later changes", async () => {
  const client = new DiscoveryTestClient(
    "delta",
    `${address}:${ports.grpc}`,
    "sidecar~10.244.1.8~client-1.shop~shop.svc.cluster.local",
  );
  const send = async (typeUrl: string, names: string[] = []): Promise<readonly string[]> => {
    client.send({ typeUrl, resourceNamesSubscribe: names });
    const answer = await client.next();
    client.send({ typeUrl, responseNonce: answer.nonce });
    return answer.resources.map((resource) => resource.name).sort();
  };
  const clusters = send(typeUrls.cluster);
  kube.put(podKind, pod("shop/client-1", "10.244.1.8", { labels: { app: "client" }, redirected: false }));
  assert.deepEqual(
    (await clusters).filter((name) => /BlackHole|Passthrough|web/.test(name)),
    ["BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster", "outbound|80||web.shop.svc.cluster.local"],
  );
  assert.ok((await send(typeUrls.listener)).includes("0.0.0.0_80"));
  assert.deepEqual(await send(typeUrls.route, ["80"]), ["80"]);
  kube.put(
    destinationRuleKind,
    config("DestinationRule", "shop/web", { host: "web", subsets: [{ name: "v1", labels: { version: "v1" } }] }),
  );
  const changed = await client.next();
  assert.deepEqual(changed.resources.map((resource) => resource.name).sort(), [
    "outbound|80|v1|web.shop.svc.cluster.local",
    "outbound|80||web.shop.svc.cluster.local",
  ]);
  client.close();
});

test("a Gateway that names a canary revision is left to it, and its stable replicas stay with this one", async () => {
  const gateway = await kube.get(gatewayKind, "edge", "shop");
  assert.ok(gateway !== undefined);
  const annotations = {
    "rollout.serin.dev/canary-revision": "next",
    "rollout.serin.dev/canary-replicas": "2",
    "rollout.serin.dev/stable-replicas": "3",
  };
  kube.put(gatewayKind, { ...gateway, metadata: { ...gateway.metadata, annotations } });
  await until(async () =>
    (await kube.get(deploymentKind, "edge-istio", "shop"))?.spec?.replicas === 3 ? true : undefined,
  );
  assert.equal(await kube.get(deploymentKind, "edge-istio-next", "shop"), undefined);
});

test("a finished canary stays until the Gateway's own proxies serve requests", async () => {
  const gateway = await kube.get(gatewayKind, "edge", "shop");
  const stable = await kube.get(deploymentKind, "edge-istio", "shop");
  assert.ok(gateway !== undefined && stable !== undefined);
  const labels = { ...stable.metadata.labels, "rollout.serin.dev/canary-of": "edge" };
  kube.put(deploymentKind, { ...stable, metadata: { name: "edge-istio-default", namespace: "shop", labels } });
  kube.put(gatewayKind, {
    ...gateway,
    metadata: { ...gateway.metadata, annotations: { "rollout.serin.dev/stable-replicas": "1" } },
  });
  const scaled = await until(async () => {
    const deployment = await kube.get(deploymentKind, "edge-istio", "shop");
    return deployment?.spec?.replicas === 1 ? deployment : undefined;
  });
  assert.ok((await kube.get(deploymentKind, "edge-istio-default", "shop")) !== undefined);
  const served: Deployment = {
    ...scaled,
    status: { availableReplicas: 1, observedGeneration: scaled.metadata.generation ?? 0 },
  };
  kube.put(deploymentKind, served);
  await until(async () =>
    (await kube.get(deploymentKind, "edge-istio-default", "shop")) === undefined ? true : undefined,
  );
});

/**
 * A debug client like `istioctl`: it uses the state-of-the-world protocol, a node id without a pod, and a token of the
 * control plane's namespace.
 */
function debugClient(namespace: string, token: string | undefined): DiscoveryTestClient<"whole"> {
  const secure = token === undefined ? {} : { credentials, headers: { authorization: `Bearer ${token}` } };
  return new DiscoveryTestClient(
    "whole",
    `${address}:${token === undefined ? ports.grpc : ports.secure}`,
    `sidecar~10.0.0.9~test-1.default~default.svc.cluster.local`,
    { ...secure, metadata: { NAMESPACE: namespace, GENERATOR: "event" } },
  );
}
kube.tokens.set("admin-token", { username: "system:serviceaccount:istio-system:default", pod: "" });
kube.tokens.set("shop-token", { username: "system:serviceaccount:shop:web", pod: "" });

async function debugAnswer(
  client: DiscoveryTestClient<"whole">,
  typeUrl: string,
  resourceNames: string[],
): Promise<{ readonly types: readonly string[]; readonly texts: readonly string[]; readonly controlPlane: string }> {
  // istioctl's client sends a nonce with its first request.
  client.send({ typeUrl, resourceNames, responseNonce: "2026-01-01" });
  const response = await client.next();
  assert.equal(response.typeUrl, typeUrl);
  return {
    types: response.resources.map((resource) => resource.typeUrl),
    texts: response.resources.map(({ value }) => Buffer.from(value).toString()),
    controlPlane: response.controlPlane?.identifier ?? "",
  };
}

test("debug requests over xDS show all proxies to the control plane's namespace, a namespace's own to others, and none without credentials", async () => {
  const watcher = new DiscoveryTestClient("delta", `${address}:${ports.secure}`, ztunnelNode, { credentials, headers });
  watcher.send({ typeUrl: typeUrls.address });
  await watcher.next();
  const client = debugClient("istio-system", "admin-token");
  const synced = await debugAnswer(client, "istio.io/debug/syncz", []);
  assert.deepEqual(synced.types, ["type.googleapis.com/envoy.service.status.v3.ClientConfig"]);
  assert.ok(synced.texts[0]?.includes(ztunnelNode) === true && synced.texts[0].includes(typeUrls.address));
  assert.equal((JSON.parse(synced.controlPlane) as { ID: string }).ID, "istiod-1");
  const dumped = await debugAnswer(client, "istio.io/debug/config_dump", ["ztunnel-1.istio-system"]);
  assert.ok(dumped.types.includes("type.googleapis.com/envoy.admin.v3.ClustersConfigDump"));
  assert.match(
    (await debugAnswer(client, "istio.io/debug", ["syncz"])).texts[0] ?? "",
    /"proxy":"ztunnel-1\.istio-system"/,
  );
  assert.ok(
    (JSON.parse((await debugAnswer(client, "istio.io/debug", ["list"])).texts[0] ?? "") as string[]).includes(
      "config_dump",
    ),
  );
  assert.match((await debugAnswer(client, "istio.io/debug", ["nothing"])).texts[0] ?? "", /^404 page not found/);
  const roots = (await debugAnswer(client, "istio.io/debug", ["serin/roots"])).texts[0] ?? "";
  assert.deepEqual(JSON.parse(roots), await (await fetch(`http://${address}:${ports.http}/debug/serin/roots`)).json());
  client.close();

  const shop = debugClient("shop", "shop-token");
  assert.deepEqual((await debugAnswer(shop, "istio.io/debug/syncz", [])).types, []);
  assert.deepEqual((await debugAnswer(shop, "istio.io/debug/config_dump", ["ztunnel-1.istio-system"])).types, []);
  assert.match(
    (await debugAnswer(shop, "istio.io/debug", ["config_dump?proxyID=ztunnel-1.istio-system"])).texts[0] ?? "",
    /^404/,
  );
  await assert.rejects(debugAnswer(shop, "istio.io/debug", ["syncz"]), /PERMISSION_DENIED/);
  await assert.rejects(
    debugAnswer(debugClient("istio-system", undefined), "istio.io/debug/syncz", []),
    /UNAUTHENTICATED/,
  );
  const proxies = (await (await fetch(`http://${address}:${ports.http}/debug/serin/proxies`)).json()) as {
    id: string;
  }[];
  assert.ok(
    proxies.every(({ id }) => id === "ztunnel-1.istio-system"),
    "who only asks is no proxy",
  );
  watcher.close();
});

test("a proxy that has disconnected is reported for a short while to those who ask, until it is back", async () => {
  const reported = async (query = ""): Promise<string[]> => {
    const response = await fetch(`http://${address}:${ports.http}/debug/serin/proxies${query}`);
    const proxies = (await response.json()) as { readonly id: string; readonly goneAt?: string }[];
    return proxies
      .filter(({ id }) => id === "ztunnel-1.istio-system")
      .map(({ goneAt }) => (goneAt === undefined ? "connected" : "gone"));
  };
  const connect = async (): Promise<DiscoveryTestClient<"delta">> => {
    const proxy = new DiscoveryTestClient("delta", `${address}:${ports.secure}`, ztunnelNode, { credentials, headers });
    proxy.send({ typeUrl: typeUrls.address });
    await proxy.next();
    return proxy;
  };
  (await connect()).close();
  await until(async () => ((await reported()).length === 0 ? true : undefined));
  assert.deepEqual(await reported("?gone=true"), ["gone"]);
  const back = await connect();
  assert.deepEqual(await reported("?gone=true"), ["connected"]);
  back.close();
});

test("the monitoring port also serves debug answers, which upstream's tools request over a port-forward", async () => {
  const send = async (port: number, path: string): Promise<string> => {
    const response = await fetch(`http://${address}:${port}${path}`);
    return `${response.status} ${await response.text()}`;
  };
  for (const path of ["/debug/clusterz", "/debug/syncz", "/debug/list", "/debug"])
    assert.equal(await send(ports.monitoring, path), await send(ports.http, path), path);
  assert.match(await send(ports.monitoring, "/debug/clusterz"), /^200 \[\{/);
  assert.match(await send(ports.monitoring, "/ready"), /^404/);
  assert.match(await send(ports.monitoring, "/metrics"), /^200 # HELP/);
  const collections = await fetch(`http://${address}:${ports.monitoring}/debug/serin/collections`);
  const { pods, memos, caches } = (await collections.json()) as {
    readonly pods: { readonly size: number };
    readonly memos: Readonly<Record<string, { readonly size: number }>>;
    readonly caches: Readonly<Record<string, { readonly maxEntries: number }>>;
  };
  assert.deepEqual([typeof pods.size, typeof memos["scoped-services"]?.size], ["number", "number"]);
  assert.equal(caches["type-fields"]?.maxEntries, 64);
});

test("with ISTIO_MULTIROOT_MESH a proxy that requests its configuration gets the mesh's roots", async () => {
  const client = new DiscoveryTestClient("whole", `${address}:${ports.secure}`, ztunnelNode, { credentials, headers });
  client.send({ typeUrl: typeUrls.proxyConfig });
  const [resource] = (await client.next()).resources;
  assert.equal(resource?.typeUrl, "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig");
  assert.deepEqual(
    fromBinary(ProxyConfigSchema, resource.value).caCertificatesPem.map((pem) => pem.trim()),
    [root.trim()],
  );
  client.close();
});

test("with PILOT_ENABLE_ANALYSIS the status of an object lists its faults", async () => {
  kube.put(virtualServiceKind, config("VirtualService", "shop/lost", { hosts: ["web"], gateways: ["none"], http: [] }));
  const messages = await until(
    async () =>
      (
        (await kube.get(virtualServiceKind, "lost", "shop")) as
          | { status?: { validationMessages?: unknown[] } }
          | undefined
      )?.status?.validationMessages,
  );
  assert.ok(messages.length > 0);
});

test("an interval of the analysis below one second is refused", () => {
  const analysis = (env: Record<string, string>) => readControlPlaneSettings([], env, "1.0.0").analysis;
  assert.equal(analysis({ PILOT_ANALYSIS_INTERVAL: "10ms" }), undefined);
  assert.deepEqual(analysis({ PILOT_ENABLE_ANALYSIS: "true", PILOT_ANALYSIS_INTERVAL: "10s" }), { maxDelayMs: 10_000 });
  assert.throws(
    () => analysis({ PILOT_ENABLE_ANALYSIS: "true", PILOT_ANALYSIS_INTERVAL: "10ms" }),
    /PILOT_ANALYSIS_INTERVAL must be at least 1s, got 10ms/,
  );
});

test("the labels of PILOT_MX_ADDITIONAL_LABELS are sorted, and each counts once", () => {
  const labels = (text: string) =>
    readControlPlaneSettings([], { PILOT_MX_ADDITIONAL_LABELS: text }, "1.0.0").exchangedLabels;
  assert.deepEqual([labels(""), labels("role, custom-label,role,")], [[], ["custom-label", "role"]]);
});

test("PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS defaults to 1,024, and a value that proxies would not accept is refused", () => {
  const hosts = (text: string) =>
    readControlPlaneSettings([], { PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS: text }, "1.0.0").dynamicDnsMaxHosts;
  assert.deepEqual([hosts(""), hosts("7")], [1024, 7]);
  for (const text of ["0", "-1", "4294967296"])
    assert.throws(() => hosts(text), /PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS must be from 1 to 4294967295, got /);
});
