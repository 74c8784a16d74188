import assert from "node:assert/strict";
import { webcrypto, X509Certificate } from "node:crypto";
import { after, test } from "node:test";
import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { stringify } from "yaml";
import {
  configMapKind,
  endpointSliceKind,
  namespaceKind,
  podKind,
  secretKind,
  serviceKind,
} from "../api/kubernetes/index.ts";
import type { KubernetesObject } from "../api/index.ts";
import { defaultMultiClusterApi, serviceExportKind, serviceImportKind } from "../api/multicluster/index.ts";
import { ShutdownController, silentLogger, systemClock, transientError } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import type { ListResult } from "../kube/index.ts";
import { MetricsRegistry, renderPrometheus } from "../telemetry/index.ts";
import { ClusterLoadAssignmentSchema } from "../wire/envoy/index.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "../wire/workload/index.ts";
import { discoveryMethods, typeUrls } from "../wire/xds/index.ts";
import { Pkcs10CertificateRequestGenerator } from "./ca/testing/csr.ts";
import { ControlPlane } from "./control-plane.ts";
import { readControlPlaneSettings } from "../api/pilot-settings/index.ts";
import { DiscoveryTestClient } from "./serve/testing/discovery-client.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { namespace, pod, service, slice } from "./testing/model-fixture.ts";
import { discoveryArguments, freeOwnPorts } from "./testing/own-ports.ts";

const address = "127.0.0.1";

/** An API server that can be closed or unreachable. */
class RemoteServer extends FakeKubeClient {
  away = false;
  closed = false;

  close(): void {
    this.closed = true;
  }

  override async list<Value extends KubernetesObject>(
    ...parameters: Parameters<FakeKubeClient["list"]>
  ): Promise<ListResult<Value>> {
    if (this.away) throw transientError("unreachable", "nobody answers");
    return (await super.list(...parameters)) as ListResult<Value>;
  }
}

const home = new FakeKubeClient();
const servers: Readonly<Record<string, RemoteServer>> = { west: new RemoteServer(), lost: new RemoteServer() };
const west = servers["west"]!;
servers["lost"]!.away = true;

function kubeconfig(server: string, user: object = { token: "reader" }): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "c",
    clusters: [{ name: "c", cluster: { server } }],
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    users: [{ name: "u", user }],
  });
}

function remoteSecret(name: string, data: Readonly<Record<string, string>>): KubernetesObject {
  const encoded = Object.fromEntries(
    Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
  return {
    metadata: { name, namespace: "istio-system", labels: { "istio/multiCluster": "true" } },
    data: encoded,
  } as KubernetesObject;
}

const ports = [{ name: "http", port: 80, targetPort: 8080 }];
const exportKind = serviceExportKind(defaultMultiClusterApi);
const importKind = serviceImportKind(defaultMultiClusterApi);
/** The export without which clients of other clusters do not discover the service's endpoints. */
const webExport: KubernetesObject = { metadata: { name: "web", namespace: "shop" } };
home.put(namespaceKind, namespace("istio-system"));
home.put(namespaceKind, namespace("shop", { discovered: "yes" }));
home.put(serviceKind, service("shop/web", "10.96.0.5", { app: "web" }, ports));
home.put(endpointSliceKind, slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.1.0.5" }]));
home.put(exportKind, webExport);
home.put(podKind, pod("shop/client", "10.1.0.8", { labels: { app: "client" }, redirected: false }));
home.put(secretKind, remoteSecret("west", { west: kubeconfig("https://west.example") }));
home.put(secretKind, remoteSecret("lost", { lost: kubeconfig("https://lost.example") }));
home.put(
  secretKind,
  remoteSecret("bad", {
    bad: kubeconfig("https://bad.example", { exec: { command: "steal" } }),
    Kubernetes: kubeconfig("https://own.example"),
  }),
);
west.put(namespaceKind, namespace("istio-system"));
west.put(namespaceKind, namespace("shop"));
west.put(serviceKind, service("shop/web", "10.100.0.5", { app: "web" }, ports));
west.put(endpointSliceKind, slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.2.0.5" }]));
west.put(exportKind, webExport);
const client = pod("shop/client", "10.2.0.8", {
  labels: { app: "client" },
  account: "client",
  redirected: false,
}) as KubernetesObject & { spec: object };
west.put(podKind, { ...client, spec: { ...client.spec, containers: [{ name: "istio-proxy" }] } } as KubernetesObject);
west.tokens.set("west-token", { username: "system:serviceaccount:shop:client", pod: "client" });

const bound = await freeOwnPorts(address);
const settings = readControlPlaneSettings(
  [...discoveryArguments(address, bound), "--networksConfig", "/nonexistent/meshNetworks"],
  {
    HUB: "lab",
    TAG: "1.2.3",
    POD_NAME: "istiod-1",
    PILOT_REMOTE_CLUSTER_TIMEOUT: "20ms",
    ENABLE_MCS_SERVICE_DISCOVERY: "true",
    ENABLE_MCS_HOST: "true",
    ENABLE_MCS_AUTO_EXPORT: "true",
  },
  "0.0.0",
);
const shutdown = new ShutdownController();
const metrics = new MetricsRegistry();
const done = new ControlPlane({
  client: home,
  connect: (_config, id) => servers[id] ?? new RemoteServer(),
  settings,
  version: "1.2.3",
  metrics,
  clock: systemClock,
  log: silentLogger,
}).run(shutdown);
after(async () => {
  shutdown.request("the test is over");
  shutdown.request("the test is over");
  await done;
});
// The cluster `lost` never answers, and the start waits for it only as long as configured.
await until(async () =>
  (await fetch(`http://${address}:${bound.http}/ready`).catch(() => undefined))?.status === 200 ? true : undefined,
);

async function clusters(): Promise<Readonly<Record<string, string>>> {
  const listed = (await (await fetch(`http://${address}:${bound.http}/debug/clusterz`)).json()) as {
    id: string;
    syncStatus: string;
  }[];
  return Object.fromEntries(listed.map(({ id, syncStatus }) => [id, syncStatus]));
}

function sidecar(clusterId: string, own = "client"): DiscoveryTestClient<"delta"> {
  return new DiscoveryTestClient(
    "delta",
    `${address}:${bound.grpc}`,
    `sidecar~10.9.0.8~${own}.shop~shop.svc.cluster.local`,
    { metadata: { CLUSTER_ID: clusterId } },
  );
}

const webCluster = "outbound|80||web.shop.svc.cluster.local";

async function endpoints(client: DiscoveryTestClient<"delta">): Promise<readonly string[]> {
  const { resources, nonce } = await client.next();
  client.send({ typeUrl: typeUrls.endpoint, responseNonce: nonce });
  return resources
    .flatMap(({ resource }) =>
      resource === undefined
        ? []
        : [
            ...JSON.stringify(
              toJson(ClusterLoadAssignmentSchema, fromBinary(ClusterLoadAssignmentSchema, resource.value)),
            ).matchAll(/"address":"([^"]+)"/g),
          ].map(([, found]) => found ?? ""),
    )
    .sort();
}

test("remote clusters report their states; an unreachable one, and kubeconfigs that run programs, delay nobody", async () => {
  assert.deepEqual(await clusters(), { Kubernetes: "synced", lost: "timeout", west: "synced" });
  const text = renderPrometheus(metrics);
  assert.match(text, /istiod_managed_clusters\{cluster_type="remote"\} 2/);
  assert.match(text, /remote_cluster_sync_timeouts_total\{cluster="lost"\} 1/);
  assert.match(text, /istiod_remote_cluster_sync_status\{cluster="lost",cluster_type="remote",status="timeout"\} 1/);
});

test("a proxy of another cluster gets its certificate by that cluster's token, and its endpoints and inbound listeners", async () => {
  const root =
    (await until(async () => await home.get(configMapKind, "istio-ca-root-cert", "shop"))).data?.["root-cert.pem"] ??
    "";
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const csr = (
    await Pkcs10CertificateRequestGenerator.create({ name: "O=x", keys, signingAlgorithm: algorithm })
  ).toString("pem");
  const client = new grpc.Client(
    `${address}:${bound.secure}`,
    grpc.credentials.createSsl(Buffer.from(root), null, null, { checkServerIdentity: () => undefined }),
  );
  const requestCertificate = async (clusterid: string): Promise<Buffer> => {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", "Bearer west-token");
    metadata.set("clusterid", clusterid);
    const bytes = (value: Buffer): Buffer => value;
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        discoveryMethods.createCertificate,
        bytes,
        bytes,
        Buffer.from(toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, { csr }))),
        metadata,
        (error, value) =>
          error === null && value !== undefined ? resolve(value) : reject(error ?? new Error("no answer")),
      );
    });
  };
  const { certChain } = fromBinary(IstioCertificateResponseSchema, await requestCertificate("west"));
  assert.equal(new X509Certificate(certChain[0] ?? "").subjectAltName, "URI:spiffe://cluster.local/ns/shop/sa/client");
  await assert.rejects(requestCertificate("Kubernetes"), /token is not valid/);
  await assert.rejects(requestCertificate("nowhere"), /the cluster "nowhere", which this control plane does not know/);
  client.close();

  const proxy = sidecar("west");
  proxy.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: [webCluster] });
  assert.deepEqual(await endpoints(proxy), ["10.1.0.5", "10.2.0.5"]);
  proxy.send({ typeUrl: typeUrls.listener });
  assert.ok((await proxy.next()).resources.some(({ name }) => name === "virtualInbound"));
  proxy.close();
});

test("the leader exports a new Service in its cluster, and clients of other clusters reach it, also by its import's host", async () => {
  const proxy = sidecar("Kubernetes");
  const metadata = { name: "late", namespace: "shop" };
  for (const server of [home, west])
    server.put(importKind, { metadata, spec: { ips: ["242.0.0.1"] } } as unknown as KubernetesObject);
  west.put(serviceKind, service("shop/late", "10.100.0.9", { app: "late" }, ports));
  west.put(endpointSliceKind, slice("shop/late", { name: "http", port: 8080 }, [{ address: "10.2.0.9" }]));
  const { metadata: made } = await until(async () => await west.get(exportKind, "late", "shop"));
  assert.equal(made.ownerReferences?.[0]?.uid, (await west.get(serviceKind, "late", "shop"))?.metadata.uid);
  assert.equal(await home.get(exportKind, "late", "shop"), undefined);
  for (const domain of ["cluster.local", "clusterset.local"]) {
    proxy.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: [`outbound|80||late.shop.svc.${domain}`] });
    await until(async () => ((await endpoints(proxy)).includes("10.2.0.9") ? true : undefined));
  }
  proxy.close();
});

test("endpoints of a cluster appear, change and disappear with it, and stay while its API server is unreachable", async () => {
  const proxy = sidecar("Kubernetes");
  proxy.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: [webCluster] });
  assert.deepEqual(await endpoints(proxy), ["10.1.0.5", "10.2.0.5"]);
  west.put(endpointSliceKind, slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.2.0.6" }]));
  assert.deepEqual(await endpoints(proxy), ["10.1.0.5", "10.2.0.6"]);
  // The cluster stays in use without a gap, because another secret names it.
  const other = new RemoteServer();
  other.put(exportKind, webExport);
  other.put(serviceKind, service("shop/web", "10.100.0.5", { app: "web" }, ports));
  other.put(endpointSliceKind, slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.2.0.7" }]));
  (servers as Record<string, RemoteServer>)["west"] = other;
  home.put(secretKind, remoteSecret("west", { west: kubeconfig("https://new.example") }));
  assert.deepEqual(await endpoints(proxy), ["10.1.0.5", "10.2.0.7"]);
  await until(() => (west.closed ? true : undefined));
  await home.delete(secretKind, "west", "istio-system");
  assert.deepEqual(await endpoints(proxy), ["10.1.0.5"]);
  assert.deepEqual(Object.keys(await clusters()).sort(), ["Kubernetes", "lost"]);
  proxy.close();
});

test("a cluster that answers late is added when it answers", async () => {
  const lost = servers["lost"]!;
  lost.put(exportKind, webExport);
  lost.put(serviceKind, service("shop/web", "10.101.0.5", { app: "web" }, ports));
  lost.put(endpointSliceKind, slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.3.0.5" }]));
  lost.away = false;
  await until(async () => ((await clusters())["lost"] === "synced" ? true : undefined));
  const proxy = sidecar("Kubernetes");
  proxy.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: [webCluster] });
  assert.deepEqual(await endpoints(proxy), ["10.1.0.5", "10.3.0.5"]);
  proxy.close();
});
