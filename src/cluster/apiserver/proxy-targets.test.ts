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

test("a Service's proxy leads to its endpoints, and to nothing on the server's own loopback or link", () => {
  assert.deepEqual(targetOf("10.244.1.2"), {
    protocol: "http",
    host: "10.244.1.2",
    port: 6443,
    path: "/x",
    toNode: false,
  });
  for (const address of ["127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "169.254.169.254", "::ffff:127.0.0.1"])
    assert.throws(() => targetOf(address), /address not allowed/, address);
});
