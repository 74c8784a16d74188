import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResourceContext, ServerParts } from "./context.ts";
import { proxyTarget } from "./proxy-targets.ts";

function targetOf(address: string): unknown {
  const slice = {
    labels: { "kubernetes.io/service-name": "web" },
    object: { endpoints: [{ addresses: [address] }], ports: [{ name: "http", port: 6443 }] },
  };
  const parts = {
    store: {
      get: () => ({ object: { spec: { ports: [{ name: "http", port: 80 }] } } }),
      collection: () => ({ list: () => [slice] }),
    },
    random: () => 0,
  } as unknown as ServerParts;
  const context = {
    info: { subresource: "proxy", namespace: "shop", name: "web:http", rest: "/x" },
    query: new URLSearchParams(),
    type: { storageKey: "/services", group: "", plural: "services" },
  } as unknown as ResourceContext;
  return proxyTarget(parts, context);
}

function podTargetOf(podIP: string): unknown {
  const pod = { spec: { containers: [{ name: "main", ports: [{ containerPort: 8080 }] }] }, status: { podIP } };
  const parts = { store: { get: () => ({ object: pod }) } } as unknown as ServerParts;
  const context = {
    info: { subresource: "proxy", namespace: "shop", name: "web", rest: "/path" },
    query: new URLSearchParams("q=1"),
    type: { storageKey: "/pods", group: "", plural: "pods" },
  } as unknown as ResourceContext;
  return proxyTarget(parts, context);
}

function nodeTargetOf(address: string): unknown {
  const node = { status: { addresses: [{ type: "InternalIP", address }] } };
  const parts = { store: { get: () => ({ object: node }) } } as unknown as ServerParts;
  const context = {
    info: { subresource: "proxy", namespace: "", name: "node-a", rest: "/pods" },
    query: new URLSearchParams(),
    type: { storageKey: "/nodes", group: "", plural: "nodes" },
  } as unknown as ResourceContext;
  return proxyTarget(parts, context);
}

const insideAddresses = ["127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "169.254.169.254", "::ffff:127.0.0.1"];

test("a Service's proxy leads to its endpoints, and to nothing on the server's own loopback or link", () => {
  assert.deepEqual(targetOf("10.244.1.2"), {
    protocol: "http",
    host: "10.244.1.2",
    port: 6443,
    path: "/x",
    toNode: false,
  });
  for (const address of insideAddresses) assert.throws(() => targetOf(address), /address not allowed/, address);
});

test("a pod's proxy leads to the pod's first port, and to nothing on the server's own loopback or link", () => {
  assert.deepEqual(podTargetOf("10.244.1.2"), {
    protocol: "http",
    host: "10.244.1.2",
    port: 8080,
    path: "/path?q=1",
    toNode: false,
  });
  for (const address of insideAddresses) assert.throws(() => podTargetOf(address), /address not allowed/, address);
});

test("a node's proxy leads to the node's port, and to nothing on the server's own loopback or link", () => {
  assert.deepEqual(nodeTargetOf("172.18.0.3"), {
    protocol: "https",
    host: "172.18.0.3",
    port: 10_250,
    path: "/pods",
    toNode: true,
  });
  for (const address of insideAddresses) assert.throws(() => nodeTargetOf(address), /address not allowed/, address);
});
