import assert from "node:assert/strict";
import { test } from "node:test";
import { movedGateway, type ControlPlanes } from "./moved-gateway.ts";

const planes: ControlPlanes = {
  from: "default",
  to: "1-18-1",
  next: { namespace: "istio-system", image: "docker.io/istio/pilot:1.18.1" },
  previousImage: "docker.io/istio/pilot:1.18.0",
};

const template = {
  metadata: {
    labels: { app: "gw", "istio.io/rev": "default", "service.istio.io/canonical-revision": "latest" },
    annotations: { "istio.io/rev": "default", "example.com/kept": "yes" },
  },
  spec: {
    priorityClassName: "mine",
    containers: [
      {
        name: "istio-proxy",
        image: "docker.io/istio/proxyv2:1.18.0-distroless",
        env: [
          { name: "CA_ADDR", value: "istiod.istio-system.svc:15012" },
          { name: "PROXY_CONFIG", value: '{"discoveryAddress":"istiod.istio-system.svc:15012"}' },
          { name: "MINE", value: "istiod" },
        ],
      },
    ],
    volumes: [{ name: "config-volume", configMap: { name: "istio", optional: true } }],
  },
};

const live = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: {
    name: "gw",
    namespace: "edge",
    uid: "1",
    resourceVersion: "7",
    labels: { app: "gw", "istio.io/rev": "default", "operator.istio.io/component": "IngressGateways" },
    annotations: { "deployment.kubernetes.io/revision": "3" },
  },
  spec: { replicas: 2, selector: { matchLabels: { app: "gw" } }, template },
  status: { readyReplicas: 2 },
};

test("an installed gateway moves to the new control plane, and keeps its owner's settings", () => {
  assert.deepEqual(movedGateway(live, template, planes), {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "gw",
      namespace: "edge",
      labels: { app: "gw", "istio.io/rev": "1-18-1", "operator.istio.io/component": "IngressGateways" },
      annotations: {},
    },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "gw" } },
      template: {
        metadata: {
          labels: { app: "gw", "istio.io/rev": "1-18-1", "service.istio.io/canonical-revision": "1-18-1" },
          annotations: { "istio.io/rev": "1-18-1", "example.com/kept": "yes" },
        },
        spec: {
          priorityClassName: "mine",
          containers: [
            {
              name: "istio-proxy",
              image: "docker.io/istio/proxyv2:1.18.1-distroless",
              env: [
                { name: "CA_ADDR", value: "istiod-1-18-1.istio-system.svc:15012" },
                { name: "PROXY_CONFIG", value: '{"discoveryAddress":"istiod-1-18-1.istio-system.svc:15012"}' },
                { name: "MINE", value: "istiod" },
              ],
            },
          ],
          volumes: [{ name: "config-volume", configMap: { name: "istio-1-18-1", optional: true } }],
        },
      },
    },
  });
});

test("a custom image stays, and so does an image that injection sets", () => {
  const images = ["registry.example/proxyv2:1.18.0", "auto", "docker.io/istio/proxyv2@sha256:0123"].map((image) => {
    const own = { ...template, spec: { containers: [{ name: "istio-proxy", image }] } };
    const moved = movedGateway(live, own, planes)["spec"] as { template: typeof own };
    return moved.template.spec.containers[0]?.image;
  });
  assert.deepEqual(images, ["registry.example/proxyv2:1.18.1", "auto", "docker.io/istio/proxyv2@sha256:0123"]);
});

test("a gateway moves to the new release where an admission webhook has pinned all images by digests", () => {
  const pinned = (name: string, digit: string): string => `docker.io/istio/${name}@sha256:${digit.repeat(64)}`;
  const own = { ...template, spec: { containers: [{ name: "istio-proxy", image: pinned("proxyv2:1.18.0", "a") }] } };
  const moved = movedGateway(live, own, {
    ...planes,
    next: { ...planes.next, image: pinned("pilot:1.18.1", "b") },
    previousImage: pinned("pilot:1.18.0", "c"),
  })["spec"] as { template: typeof own };
  assert.equal(moved.template.spec.containers[0]?.image, "docker.io/istio/proxyv2:1.18.1");
});
