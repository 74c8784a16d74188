import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProxyConfigFacts } from "../model/index.ts";
import { withProxyConfigs } from "./gateway-proxy-config.ts";

const proxy = {
  revision: "default",
  image: "docker.io/istio/proxyv2:1.31.0",
  discoveryAddress: "istiod.istio-system.svc:15012",
  clusterId: "Kubernetes",
  clusterDomain: "cluster.local",
  trustDomain: "cluster.local",
  network: "",
  proxyMetadata: { A: "mesh", B: "mesh" },
};

function facts(key: string, spec: Partial<ProxyConfigFacts["spec"]>): ProxyConfigFacts {
  const [namespace = "", name = ""] = key.split("/");
  return {
    namespace,
    name,
    uid: "",
    labels: {},
    annotations: {},
    createdAt: "2026-01-01T00:00:00Z",
    generation: 1,
    spec: { environmentVariables: {}, ...spec },
  };
}

test("a Gateway's proxies use the ProxyConfigs of the mesh, the namespace and themselves, and the nearest wins", () => {
  const configs = [
    facts("istio-system/mesh", {
      concurrency: 1,
      environmentVariables: { A: "root", C: "root" },
      image: { imageType: "debug" },
    }),
    facts("edge/all", { concurrency: 2, image: { imageType: "distroless" } }),
    facts("edge/mine", {
      environmentVariables: { C: "mine" },
      selector: { matchLabels: { "gateway.networking.k8s.io/gateway-name": "web" } },
    }),
    facts("edge/other", {
      concurrency: 9,
      selector: { matchLabels: { "gateway.networking.k8s.io/gateway-name": "other" } },
    }),
  ];
  const found = withProxyConfigs(proxy, configs, { namespace: "edge", name: "web", rootNamespace: "istio-system" });
  assert.deepEqual(
    [found.concurrency, found.image, found.proxyMetadata],
    [2, "docker.io/istio/proxyv2:1.31.0-distroless", { A: "root", B: "mesh", C: "mine" }],
  );
  assert.deepEqual(
    withProxyConfigs(proxy, [], { namespace: "edge", name: "web", rootNamespace: "istio-system" }),
    proxy,
  );
});

test("an image with a digest stays as it is, because no suffix changes what a digest names", () => {
  const image = `docker.io/istio/proxyv2:1.31.0@sha256:${"0a".repeat(32)}`;
  const configs = [facts("edge/all", { image: { imageType: "distroless" } })];
  const place = { namespace: "edge", name: "web", rootNamespace: "istio-system" };
  assert.equal(withProxyConfigs({ ...proxy, image }, configs, place).image, image);
});
