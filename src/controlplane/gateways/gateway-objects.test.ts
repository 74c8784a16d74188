import assert from "node:assert/strict";
import { test } from "node:test";
import type { Gateway } from "../../api/gateway/index.ts";
import { gatewayObjects } from "./gateway-objects.ts";

const proxy = {
  revision: "default",
  image: "proxyv2:1",
  discoveryAddress: "istiod.istio-system.svc:15012",
  clusterId: "Kubernetes",
  clusterDomain: "cluster.local",
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

test("a gateway's proxy learns the cluster's own DNS domain", () => {
  const listeners = [{ name: "http", port: 80, protocol: "HTTP" }];
  const gateway = {
    metadata: { name: "web", namespace: "shop", uid: "1" },
    spec: { gatewayClassName: "istio", listeners },
  } as unknown as Gateway;
  const { deployment } = gatewayObjects(gateway, [], { ...proxy, clusterDomain: "corp.example" });
  const args = deployment.spec?.template.spec?.containers[0]?.args ?? [];
  assert.equal(args[args.indexOf("--domain") + 1], "$(POD_NAMESPACE).svc.corp.example");
});

test("a gateway's proxy learns which statistics the mesh asks for", () => {
  const gateway = {
    metadata: { name: "web", namespace: "shop", uid: "1" },
    spec: { gatewayClassName: "istio", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] },
  } as unknown as Gateway;
  const configWith = (more: object): Record<string, unknown> => {
    const { deployment } = gatewayObjects(gateway, [], { ...proxy, ...more });
    const { env = [] } = deployment.spec?.template.spec?.containers[0] ?? {};
    return JSON.parse(env.find(({ name }) => name === "PROXY_CONFIG")?.value ?? "") as Record<string, unknown>;
  };
  const statsMatcher = { inclusionPrefixes: ["cluster."], inclusionSuffixes: [], inclusionRegexps: [] };
  assert.deepEqual(configWith({ statsMatcher })["proxyStatsMatcher"], statsMatcher);
  assert.equal(Object.hasOwn(configWith({}), "proxyStatsMatcher"), false);
});

test("no label of a Gateway lets an injector obey the Gateway's annotations in its pods", () => {
  const metadata = { name: "web", namespace: "shop", uid: "1", labels: { "sidecar.istio.io/inject": "true" } };
  const infrastructure = {
    labels: { "sidecar.istio.io/inject": "true" },
    annotations: { "sidecar.istio.io/userVolume": '[{"name":"x","secret":{"secretName":"other"}}]' },
  };
  const listeners = [{ name: "http", port: 80, protocol: "HTTP" }];
  for (const more of [{}, { infrastructure }]) {
    const gateway = { metadata, spec: { gatewayClassName: "istio", listeners, ...more } } as unknown as Gateway;
    const { deployment } = gatewayObjects(gateway, [], proxy);
    assert.equal(deployment.spec?.template.metadata?.labels?.["sidecar.istio.io/inject"], "false");
  }
});
