// A small mesh with a proxy of each type, to which benches add objects.
import type { KubernetesObject } from "../../src/api/index.ts";
import { config, namespace, node, pod, service, slice } from "../../src/controlplane/testing/model-fixture.ts";

function proxyNode(id: string, namespaceName: string, labels: Readonly<Record<string, string>>) {
  return {
    id,
    metadata: {
      NAMESPACE: namespaceName,
      CLUSTER_ID: "Kubernetes",
      LABELS: labels,
      NODE_NAME: "node-1",
      ISTIO_VERSION: "1.31.0",
    },
  };
}

const waypointLabels = {
  "gateway.networking.k8s.io/gateway-name": "wp",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
};
export const sidecar = proxyNode("sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local", "shop", { app: "web" });
export const gateway = proxyNode("router~10.0.0.9~edge-1.edge~edge.svc.cluster.local", "edge", { istio: "ingress" });
export const waypoint = proxyNode("waypoint~10.0.0.8~wp-1.shop~shop.svc.cluster.local", "shop", waypointLabels);
export const ztunnel = { id: "ztunnel~10.250.0.1~z-1.istio-system~istio-system.svc.cluster.local", metadata: {} };

export function withSidecar(made: KubernetesObject): KubernetesObject {
  const { spec } = made as KubernetesObject & { spec: { containers: object[] } };
  spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"] });
  return made;
}

export const surroundings = [
  namespace("istio-system"),
  namespace("shop", { "istio-injection": "enabled" }),
  namespace("edge"),
  node("node-1", "zone-1"),
  withSidecar(pod("shop/web-1", "10.0.0.1", { labels: { app: "web", "security.istio.io/tlsMode": "istio" } })),
  pod("edge/edge-1", "10.0.0.9", { labels: { istio: "ingress" } }),
  pod("shop/wp-1", "10.0.0.8", { labels: waypointLabels }),
  service(
    "shop/web",
    "10.96.0.1",
    { app: "web" },
    [
      { name: "http", port: 80, targetPort: 8080 },
      { name: "http-admin", port: 81, targetPort: 8081 },
      { name: "tcp", port: 82, targetPort: 8082 },
    ],
    { "istio.io/use-waypoint": "wp" },
  ),
  slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.0.0.1", pod: "web-1" }]),
  service("edge/edge", "10.96.0.2", { istio: "ingress" }, [{ name: "http", port: 80, targetPort: 80 }]),
  slice("edge/edge", { name: "http", port: 80 }, [{ address: "10.0.0.9", pod: "edge-1" }]),
  {
    ...config("Gateway", "shop/wp", {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }],
    }),
    apiVersion: "gateway.networking.k8s.io/v1",
    status: {
      addresses: [{ type: "Hostname", value: "wp.shop.svc.cluster.local" }],
      conditions: [{ type: "Programmed", status: "True" }],
    },
  },
  service("shop/wp", "10.96.0.3", { "gateway.networking.k8s.io/gateway-name": "wp" }, [
    { name: "mesh", port: 15008, targetPort: 15008 },
  ]),
];
