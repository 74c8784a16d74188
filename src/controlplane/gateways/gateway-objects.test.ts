import assert from "node:assert/strict";
import { test } from "node:test";
import type { Gateway } from "../../api/gateway/index.ts";
import { gatewayObjects } from "./gateway-objects.ts";

const proxy = {
  revision: "default",
  image: "proxyv2:1",
  discoveryAddress: "istiod.istio-system.svc:15012",
  clusterId: "Kubernetes",
  trustDomain: "cluster.local",
  network: "",
  proxyMetadata: {},
};

test("a gateway's pods are not in ambient, unless the Gateway's labels say so", () => {
  const modeWith = (labels: Record<string, string>): unknown => {
    const gateway = {
      metadata: { name: "web", namespace: "shop", uid: "1", labels },
      spec: { gatewayClassName: "istio", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] },
    } as unknown as Gateway;
    const { deployment } = gatewayObjects(gateway, [], proxy);
    return deployment.spec?.template.metadata?.labels?.["istio.io/dataplane-mode"];
  };
  assert.equal(modeWith({}), "none");
  assert.equal(modeWith({ "istio.io/dataplane-mode": "ambient" }), "ambient");
});
