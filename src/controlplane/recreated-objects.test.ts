import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../api/index.ts";
import type { Collection } from "../kube/index.ts";
import type { ServedMesh } from "./served-mesh.ts";
import { config, namespace, service, slice, testMesh } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

const http = { name: "http", port: 80, protocol: "HTTP" };
const tcp = { name: "tcp", port: 90, protocol: "TCP" };
const tls = { name: "tls", port: 443, protocol: "TLS", tls: { mode: "Passthrough" } };
const mesh = { name: "mesh", port: 15_008, protocol: "HBONE" };
const gatewayOf = (name: string, spec: object): KubernetesObject => ({
  ...config("Gateway", `shop/${name}`, spec),
  apiVersion: "gateway.networking.k8s.io/v1",
});
const route = (kind: string, port: number): KubernetesObject =>
  config(kind, "shop/web", { parentRefs: [{ name: "edge" }], rules: [{ backendRefs: [{ name: "web", port }] }] });
const entryPort = { number: 80, name: "http", protocol: "HTTP" };

/** Objects that the tests do not recreate: the namespace with its waypoint. */
const base: readonly KubernetesObject[] = [
  namespace("shop", { "istio.io/use-waypoint": "waypoint" }),
  gatewayOf("waypoint", { gatewayClassName: "istio-waypoint", listeners: [mesh] }),
  service("shop/waypoint", "10.96.0.9", {}, [{ name: "mesh", port: 15_008 }], {
    "gateway.istio.io/managed": "istio.io-mesh-controller",
  }),
  slice("shop/waypoint", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "waypoint-1" }]),
];
/** An object of each kind to which controllers write. */
const objects: readonly KubernetesObject[] = [
  gatewayOf("edge", {
    gatewayClassName: "istio",
    listeners: [http, tcp, tls],
    allowedListeners: { namespaces: { from: "Same" } },
  }),
  config("ListenerSet", "shop/more", { parentRef: { name: "edge" }, listeners: [{ ...http, port: 8080 }] }),
  config("BackendTLSPolicy", "shop/web", {
    targetRefs: [{ group: "", kind: "Service", name: "web" }],
    validation: { hostname: "web.example", wellKnownCACertificates: "System" },
  }),
  route("HTTPRoute", 80),
  route("GRPCRoute", 80),
  route("TLSRoute", 443),
  route("TCPRoute", 90),
  route("UDPRoute", 90),
  { kind: "Ingress", metadata: { namespace: "shop", name: "web" }, spec: { rules: [] } } as KubernetesObject,
  service("shop/web", "10.96.0.5", {}, [{ name: "http", port: 80 }]),
  config("ServiceEntry", "shop/api", { hosts: ["api.example"], resolution: "DNS", ports: [entryPort] }),
  config("WorkloadEntry", "shop/vm", { address: "10.9.0.1", labels: { "istio.io/use-waypoint": "waypoint" } }),
  config("AuthorizationPolicy", "shop/web", { rules: [{}] }),
];

/** The collections of what controllers should write, by a name for it. */
function writtenOf({ wanted }: ServedMesh): ReadonlyMap<string, Collection<unknown>> {
  const { ambientStatuses, routeStatuses, ...others } = wanted;
  return new Map<string, Collection<unknown>>([
    ...Object.entries(others),
    ...routeStatuses.map(({ kind, statuses }) => [kind, statuses] as const),
    ...Object.entries(ambientStatuses),
  ]);
}

test("whatever controllers write to an object is written again if it is deleted and created again before the mesh settles", () => {
  const ingress = { mode: "DEFAULT", className: "istio", service: "edge", namespace: "istio-system" } as const;
  const { mesh: served, change } = createServedFixture({ settings: { ...testMesh, ingress } });
  const created = (uid: string): readonly KubernetesObject[] =>
    objects.map((object) => ({ ...object, metadata: { ...object.metadata, uid } }));
  change([...base, ...created("first")]);
  const written = writtenOf(served);
  const again: string[] = [];
  for (const [name, collection] of written)
    collection.subscribe((changes) => {
      for (const { type, key } of changes) again.push(`${name} ${type} ${key}`);
    });
  const takeAgain = (): readonly string[] => again.splice(0).sort();
  takeAgain();
  change(created("first"), objects);
  assert.deepEqual(takeAgain(), []);
  change(created("second"), objects);
  assert.deepEqual(takeAgain(), [
    "AuthorizationPolicy set shop/web",
    "GRPCRoute set shop/web",
    "HTTPRoute set shop/web",
    "Service set shop/web",
    "ServiceEntry set shop/api",
    "TCPRoute set shop/web",
    "TLSRoute set shop/web",
    "UDPRoute set shop/web",
    "WorkloadEntry set shop/vm",
    "gatewayStatuses set shop/edge",
    "ingressStatuses set shop/web",
    "listenerSetStatuses set shop/more",
    "placements set shop/edge",
    "policyStatuses set shop/web",
  ]);
});
