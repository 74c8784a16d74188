import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

// The tests send requests with the stolen identity of node `a`.
const server = new ServerHarness();
const merge = { "content-type": "application/merge-patch+json" };
const [pods, nodes] = ["/api/v1/namespaces/shop/pods", "/api/v1/nodes"];
const leases = "/apis/coordination.k8s.io/v1/namespaces";
const stolen = { "impersonate-user": "system:node:a", "impersonate-group": "system:nodes" };

before(async () => {
  await server.start();
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "shop" } });
  for (const name of ["default", "robot"])
    await server.call("POST", "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name } });
  await server.call("POST", nodes, { metadata: { name: "b" } });
  for (const nodeName of ["a", "b"]) {
    const made = await server.call("POST", pods, {
      metadata: { name: `on-${nodeName}`, labels: { app: "web" } },
      spec: { nodeName, containers: [{ name: "main", image: "x" }] },
    });
    assert.equal(made.status, 201, made.text);
  }
});
after(async () => await server.remove());

async function asNode(method: string, path: string, body?: Json): Promise<Answer> {
  return await server.call(method, path, body, {
    headers: { ...stolen, ...(method === "PATCH" ? merge : {}) },
  });
}

async function refused(method: string, path: string, body: Json, fault: RegExp): Promise<void> {
  const { status, body: answer } = await asNode(method, path, body);
  assert.equal(status, 403, `${method} ${path}: ${status}`);
  assert.match(answer.message, fault, `${method} ${path}`);
}

const moved = { status: { addresses: [{ type: "InternalIP", address: "10.0.0.9" }] } };

test("a node registers and updates itself, and no other node", async () => {
  assert.equal(
    (await asNode("POST", nodes, { metadata: { name: "a", labels: { "kubernetes.io/os": "linux" } } })).status,
    201,
  );
  assert.equal((await asNode("PATCH", `${nodes}/a/status`, moved)).status, 200);
  assert.equal(
    (await asNode("PATCH", `${nodes}/a`, { metadata: { labels: { "example.com/rack": "1" } } })).status,
    200,
  );
  await refused("POST", nodes, { metadata: { name: "c" } }, /node "a" is not allowed to modify node "c"/);
  await refused("PATCH", `${nodes}/b`, { metadata: { labels: { x: "y" } } }, /is not allowed to modify node "b"/);
  await refused("PATCH", `${nodes}/b/status`, moved, /is not allowed to modify node "b"/);
  await refused("PATCH", `${nodes}/a`, { spec: { taints: [{ key: "a", effect: "NoSchedule" }] } }, /modify taints/);
});

test("a node cannot give itself a label that decides which pods it gets", async () => {
  for (const label of [
    "node-restriction.kubernetes.io/secure",
    "team.node-restriction.kubernetes.io/secure",
    "node-role.kubernetes.io/control-plane",
    "pod-security.kubernetes.io/enforce",
    "example.k8s.io/x",
  ])
    await refused("PATCH", `${nodes}/a`, { metadata: { labels: { [label]: "true" } } }, new RegExp(`labels: ${label}`));
  for (const label of ["node.kubernetes.io/x", "kubelet.kubernetes.io/x", "topology.kubernetes.io/zone"])
    assert.equal((await asNode("PATCH", `${nodes}/a`, { metadata: { labels: { [label]: "x" } } })).status, 200, label);
});

test("a node writes the status of its own pods, without their labels, and deletes no others", async () => {
  const status = { status: { phase: "Running" } };
  assert.equal((await asNode("PATCH", `${pods}/on-a/status`, status)).status, 200);
  await refused("PATCH", `${pods}/on-b/status`, status, /for pods with spec\.nodeName set to itself/);
  await refused(
    "PATCH",
    `${pods}/on-a/status`,
    { metadata: { labels: { app: "other" } }, ...status },
    /can not update labels through pod status/,
  );
  await refused("PATCH", `${pods}/on-a`, { metadata: { labels: { app: "other" } } }, /can not update pods/);
  await refused("DELETE", `${pods}/on-b`, undefined, /can only delete pods with spec\.nodeName set to itself/);
  await refused("POST", `${pods}/on-b/eviction`, { kind: "Eviction", apiVersion: "policy/v1" }, /can only delete pods/);
});

test("a node creates mirror pods of its own only, which refer to nothing that a pod could read", async () => {
  const spec = { nodeName: "a", containers: [{ name: "main", image: "x" }] };
  const annotations = { "kubernetes.io/config.mirror": "x" };
  const mirror = async (more: Json): Promise<Answer> =>
    await asNode("POST", pods, { metadata: { name: "mirror", annotations }, spec: { ...spec, ...more } });
  await refused("POST", pods, { metadata: { name: "plain" }, spec }, /can only create mirror pods/);
  for (const more of [
    { nodeName: "b" },
    { serviceAccountName: "robot" },
    { volumes: [{ name: "v", secret: { secretName: "s" } }] },
    { volumes: [{ name: "v", projected: { sources: [{ configMap: { name: "s" } }] } }] },
  ])
    assert.equal((await mirror(more)).status, 403, JSON.stringify(more));
  assert.equal((await mirror({})).status, 201);
});

test("a node gets tokens only for pods that are bound to it", async () => {
  const token = async (account: string, boundObjectRef?: Json): Promise<Answer> =>
    await asNode("POST", `/api/v1/namespaces/shop/serviceaccounts/${account}/token`, { spec: { boundObjectRef } });
  const bound = (name: string): Json => ({ kind: "Pod", apiVersion: "v1", name });
  assert.equal((await token("default", bound("on-a"))).status, 201);
  for (const [account, reference, fault] of [
    ["default", undefined, "node requested token not bound to a pod"],
    ["default", bound("on-b"), "node requested token bound to a pod scheduled on a different node"],
  ] as const) {
    const { status, body } = await token(account, reference);
    assert.deepEqual([status, body.message.split("forbidden: ")[1]], [403, fault]);
  }
});

test("a node renews its own Lease and deletes only volumes of its own", async () => {
  await server.call("POST", "/api/v1/namespaces", { metadata: { name: "kube-node-lease" } });
  assert.equal((await asNode("POST", `${leases}/kube-node-lease/leases`, { metadata: { name: "a" } })).status, 201);
  await refused("POST", `${leases}/kube-node-lease/leases`, { metadata: { name: "b" } }, /same name as the requesting/);
  await refused(
    "POST",
    `${leases}/shop/leases`,
    { metadata: { name: "a" } },
    /in the "kube-node-lease" system namespace/,
  );
  for (const node of ["a", "b"]) {
    const matchExpressions = [{ key: "kubernetes.io/hostname", operator: "In", values: [node] }];
    const made = await server.call("POST", "/api/v1/persistentvolumes", {
      metadata: { name: `of-${node}` },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        hostPath: { path: "/x" },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions }] } },
      },
    });
    assert.equal(made.status, 201, made.text);
  }
  await refused("DELETE", "/api/v1/persistentvolumes/of-b", undefined, /can only change volumes of its own/);
  assert.equal((await asNode("DELETE", "/api/v1/persistentvolumes/of-a")).status, 200);
});
