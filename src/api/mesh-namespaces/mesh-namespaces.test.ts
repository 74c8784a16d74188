import assert from "node:assert/strict";
import { test } from "node:test";
import { controlPlaneNamespaces, ztunnelNamespaces } from "./mesh-namespaces.ts";

const injector = (name: string, namespace: string) => ({
  metadata: { name },
  webhooks: [{ name, clientConfig: { service: { name, namespace } } }],
});

test("control planes are in istio-system and the injectors' namespaces, and ztunnels also among the cluster's own pods", () => {
  const elsewhere = { metadata: { name: "remote" }, webhooks: [{ name: "url", clientConfig: { url: "https://x" } }] };
  const found = controlPlaneNamespaces([
    injector("istiod-next", "mesh-control"),
    injector("cert-manager", "tenant"),
    elsewhere,
    { metadata: { name: "without-webhooks" } },
  ]);
  assert.deepEqual([...found], ["istio-system", "mesh-control"]);
  assert.deepEqual([...ztunnelNamespaces(found)], ["istio-system", "mesh-control", "kube-system"]);
});
