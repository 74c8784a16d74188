import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { ServerHarness, type Json } from "./testing/server-harness.ts";

const metrics = "/apis/metrics.k8s.io/v1beta1";
const merge = { contentType: "application/merge-patch+json" };
const time = "2026-06-01T10:00:00.500Z";
const server = new ServerHarness();
let node: Server;
let summary: Json = {};
const uids: Record<string, string> = {};

function stats(usageNanoCores: number, workingSetBytes: number): Json {
  return { cpu: { time, windowMs: 15_200.4, usageNanoCores }, memory: { time, workingSetBytes } };
}

async function createPod(name: string, namespace: string, nodeName: string, labels: Json): Promise<void> {
  const { status, body, text } = await server.call("POST", `/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name, labels },
    spec: { nodeName, containers: [{ name: "main", image: "nginx" }] },
  });
  assert.equal(status, 201, text);
  uids[name] = body.metadata.uid;
}

before(async () => {
  await server.start();
  const { certificate, key } = server.pki.nodes["node-a"] ?? { certificate: "", key: "" };
  const files = { cert: readFileSync(certificate), key: readFileSync(key), ca: readFileSync(server.pki.caCertificate) };
  node = createServer({ ...files, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    response.statusCode = request.url === "/stats/summary" ? 200 : 404;
    response.end(JSON.stringify(summary));
  });
  await new Promise<void>((resolve) => void node.listen(0, "127.0.0.1", resolve));
  for (const [name, port] of [
    ["node-a", (node.address() as AddressInfo).port],
    ["node-b", 9],
  ] as const)
    await server.call("POST", "/api/v1/nodes", {
      metadata: { name, labels: { zone: name } },
      status: {
        addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    });
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "shop" } });
  for (const namespace of ["default", "shop"])
    await server.call("POST", `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: "default" } });
  await createPod("web", "default", "node-a", { app: "web" });
  await createPod("cart", "shop", "node-a", { app: "cart" });
  await createPod("waiting", "default", "node-a", { app: "web" });
  await createPod("away", "default", "node-b", { app: "web" });
  summary = {
    node: { nodeName: "node-a", ...stats(750_000_000, 3 * 1024 ** 2) },
    pods: [
      {
        podRef: { name: "web", namespace: "default", uid: uids["web"] },
        containers: [
          { name: "main", ...stats(250_000_000, 2 * 1024 ** 2) },
          { name: "istio-proxy", ...stats(1_500_000, 1024 ** 2) },
        ],
      },
      {
        podRef: { name: "cart", namespace: "shop", uid: uids["cart"] },
        containers: [{ name: "main", ...stats(0, 512 * 1024) }],
      },
      { podRef: { name: "waiting", namespace: "default", uid: "of an earlier pod" }, containers: [{ name: "main" }] },
    ],
  };
});

after(async () => {
  node.closeAllConnections();
  node.close();
  await server.remove();
});

test("discovery offers the metrics API as metrics-server does, and RBAC lets viewers read it", async () => {
  const list = (await server.call("GET", metrics)).body;
  assert.deepEqual(
    list.resources.map((each: Json) => [each.name, each.kind, each.namespaced, each.verbs]),
    [
      ["nodes", "NodeMetrics", false, ["get", "list"]],
      ["pods", "PodMetrics", true, ["get", "list"]],
    ],
  );
  const groups = (await server.call("GET", "/apis")).body.groups;
  assert.ok(groups.some((each: Json) => each.name === "metrics.k8s.io"));
  const view = (await server.call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view")).body;
  assert.ok(view.rules.some((each: Json) => each.apiGroups.includes("metrics.k8s.io")));
});

test("a pod's metrics have each container's usage as its node measures it, with the pod's labels", async () => {
  const { status, body } = await server.call("GET", `${metrics}/namespaces/default/pods/web`);
  assert.equal(status, 200);
  assert.deepEqual(body, {
    kind: "PodMetrics",
    apiVersion: "metrics.k8s.io/v1beta1",
    metadata: {
      name: "web",
      namespace: "default",
      creationTimestamp: body.metadata.creationTimestamp,
      labels: { app: "web" },
    },
    timestamp: "2026-06-01T10:00:00Z",
    window: "15.2s",
    containers: [
      { name: "main", usage: { cpu: "250000000n", memory: "2048Ki" } },
      { name: "istio-proxy", usage: { cpu: "1500000n", memory: "1024Ki" } },
    ],
  });
});

test("lists leave out objects that no node measures, and follow namespaces and selectors", async () => {
  const names = async (path: string): Promise<string[]> =>
    (await server.call("GET", `${metrics}/${path}`)).body.items.map((each: Json) => each.metadata.name);
  assert.deepEqual(await names("pods"), ["web", "cart"]);
  assert.deepEqual(await names("namespaces/shop/pods"), ["cart"]);
  assert.deepEqual(await names("pods?labelSelector=app%3Dcart"), ["cart"]);
  assert.deepEqual(await names("pods?fieldSelector=spec.nodeName%3Dnode-b"), []);
  assert.deepEqual(await names("nodes"), ["node-a"]);
  assert.deepEqual(await names("nodes?labelSelector=zone%3Dnode-b"), []);
  const none = (await server.call("GET", `${metrics}/namespaces/default/pods?labelSelector=app%3Dnone`)).body;
  assert.deepEqual([none.kind, none.items], ["PodMetricsList", []]);
});

test("a pod that exists without measurements is not found", async () => {
  for (const name of ["waiting", "away", "unknown"]) {
    const { status, body } = await server.call("GET", `${metrics}/namespaces/default/pods/${name}`);
    assert.deepEqual(
      [status, body.reason, body.message],
      [404, "NotFound", `podmetrics.metrics.k8s.io "default/${name}" not found`],
    );
  }
});

test("kubectl get shows sums as a table, and users cannot write metrics", async () => {
  const table = await server.call("GET", `${metrics}/namespaces/default/pods`, undefined, {
    accept: "application/json;as=Table;v=v1;g=meta.k8s.io",
  });
  assert.deepEqual(
    table.body.columnDefinitions.map((each: Json) => each.name),
    ["Name", "cpu", "memory", "Window"],
  );
  assert.deepEqual(table.body.rows[0].cells, ["web", "251500000n", "3072Ki", "15.2s"]);
  assert.equal((await server.call("DELETE", `${metrics}/namespaces/default/pods/web`)).status, 405);
  assert.equal((await server.call("PATCH", `${metrics}/nodes/node-a`, {}, merge)).status, 405);
  assert.equal((await server.call("GET", `${metrics}/nodes?watch=true`)).status, 405);
});

test("a node reports on its own pods, and its odd answers hide nothing of other nodes", async () => {
  const containers = [{ name: "main", ...stats(9_000_000_000, 1024) }];
  const ofAnother = { podRef: { name: "away", namespace: "default", uid: uids["away"] }, containers };
  const kept = summary;
  const names = async (plural: string): Promise<string[]> => {
    const { status, body } = await server.call("GET", `${metrics}/${plural}`);
    assert.equal(status, 200);
    return body.items.map((each: Json) => each.metadata.name);
  };
  for (const odd of [null, 5, [], { node: null, pods: [null, {}, { podRef: null, containers: [null] }] }]) {
    summary = odd;
    for (const plural of ["nodes", "pods"]) assert.deepEqual(await names(plural), [], JSON.stringify(odd));
  }
  const { cpu, memory } = stats(1, 1024);
  for (const odd of [
    { cpu: { ...cpu, time: "soon" }, memory },
    { cpu: { ...cpu, time: undefined }, memory },
    { cpu: { ...cpu, windowMs: -1 }, memory },
    { cpu: { ...cpu, usageNanoCores: 1e300 }, memory },
    { cpu: { ...cpu, usageNanoCores: "5" }, memory },
    { cpu, memory: { workingSetBytes: 0.5 } },
    { cpu },
  ]) {
    const [web, ...others] = kept.pods;
    const withOdd = { ...web, containers: [...web.containers, { name: "odd", ...odd }] };
    summary = { node: { nodeName: "node-a", ...odd }, pods: [withOdd, ...others] };
    assert.deepEqual([await names("nodes"), await names("pods")], [[], ["cart"]], JSON.stringify(odd));
  }
  summary = { ...kept, pods: [...kept.pods, ofAnother] };
  assert.deepEqual(await names("pods"), ["web", "cart"]);
  summary = kept;
});
