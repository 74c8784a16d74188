import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { deriveMeshModel } from "../mesh-model.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { ClusterLoadAssignmentSchema } from "../../../wire/envoy/index.ts";
import { AddressSchema } from "../../../wire/workload/index.ts";
import { deriveGatewayPlacements } from "../../model/gateway/gateway-placement.ts";
import { WaypointBindings } from "../../model/ambient/waypoint-bindings.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice } from "../../testing/model-fixture.ts";
import { deriveAmbientResources } from "../ambient/ambient-resources.ts";
import { throughWaypoints } from "../waypoint-endpoints.ts";
import { deriveWaypointResources } from "./waypoint-resources.ts";

const hbone = { name: "mesh", port: 15_008, protocol: "HBONE" };
const labels = (gateway: string, more: Record<string, string> = {}): Record<string, string> => ({
  "gateway.networking.k8s.io/gateway-name": gateway,
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
  ...more,
});

function waypoint(
  name: string,
  address: number,
  gateway: object = {},
  annotations: Record<string, string> = {},
): readonly KubernetesObject[] {
  const front = service(
    `shop/${name}`,
    `10.96.1.${address}`,
    { "gateway.networking.k8s.io/gateway-name": name },
    [{ name: "mesh", port: 15_008 }],
    labels(name),
  );
  return [
    config(
      "Gateway",
      `shop/${name}`,
      { gatewayClassName: "istio-waypoint", listeners: [hbone], ...gateway },
      { annotations },
    ),
    {
      ...front,
      metadata: { ...front.metadata, annotations: { "networking.istio.io/traffic-distribution": "PreferClose" } },
    },
    proxy(name, `${name}-1`, address),
    slice(`shop/${name}`, { name: "mesh", port: 15_008 }, [{ address: `10.244.1.${address}`, pod: `${name}-1` }]),
  ];
}

function proxy(
  gateway: string,
  name: string,
  address: number,
  options: { canary?: boolean; ready?: boolean } = {},
): KubernetesObject {
  const more: Record<string, string> = options.canary === true ? { "rollout.serin.dev/canary-of": gateway } : {};
  return pod(`shop/${name}`, `10.244.1.${address}`, {
    labels: labels(gateway, more),
    account: gateway,
    redirected: false,
    ready: options.ready ?? true,
  });
}

function annotated(object: KubernetesObject, annotations: Record<string, string>): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, annotations } };
}

const web = (own: Record<string, string> = {}): KubernetesObject =>
  service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }], own);
const weightAnnotation = "istio.io/use-waypoint-canary-weight";
const canaryLabels = { "istio.io/use-waypoint": "wp", "istio.io/use-waypoint-canary": "next" };

function mesh() {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const model = deriveMeshModel(graph, inputs);
  const ambient = deriveAmbientResources(graph, inputs, model.waypoints);
  const resources = deriveWaypointResources(graph, model);
  const placements = deriveGatewayPlacements(graph, inputs, model.waypoints, "next");
  const bindings = new WaypointBindings(inputs, model.waypoints);
  const address = (name: string): JsonObject =>
    decodeResource(
      AddressSchema,
      ambient.addresses.map((collection) => collection.get(name)).find((found) => found !== undefined),
    );
  const endpoints = graph.derive("test-endpoints", model.registry.kubernetes, (one, reader) => [
    [one.name, throughWaypoints(one, 80, bindings.sharesOfService(one, reader), inputs, reader)],
  ]);
  return {
    ...fixture,
    address,
    placements,
    /** How WDS divides `web`, by the waypoint's host. */
    shares: (): unknown => {
      const found = (valueAt(address("shop/web.shop.svc.cluster.local"), "service", "weightedWaypoints") ?? []) as {
        destination: { hostname: { hostname: string } };
        weight?: number;
      }[];
      return Object.fromEntries(
        found.map(({ destination, weight = 0 }) => [destination.hostname.hostname.split(".")[0], weight]),
      );
    },
    capacity: (name: string): unknown => valueAt(address(`Kubernetes//Pod/shop/${name}`), "workload", "capacity"),
    /** The weights of `web`'s endpoints in gateways, by the waypoint's pod. */
    ingress: (): unknown => {
      const groups = endpoints.get("web") ?? [];
      return Object.fromEntries(
        groups.flatMap(({ lbEndpoints }) =>
          lbEndpoints.map((endpoint) => [
            endpoint.metadata?.filterMetadata["envoy.filters.listener.original_dst"]?.["waypoint"],
            endpoint.loadBalancingWeight,
          ]),
        ),
      );
    },
    served: (scope: string): unknown =>
      resources.endpoints
        .flatMap((collection) => [...collection.values()])
        .filter((item) => item.scope === scope)
        .map(({ resource }) => decodeResource(ClusterLoadAssignmentSchema, resource)["clusterName"]),
  };
}

test("weighted waypoints come from a Service's labels, else from its namespace's if its waypoint is from there too", () => {
  const { apply, shares, address, served } = mesh();
  apply(
    namespace("shop"),
    ...waypoint("wp", 9),
    ...waypoint("next", 10),
    annotated(web(canaryLabels), { [weightAnnotation]: "10" }),
  );
  assert.deepEqual(shares(), { wp: 90, next: 10 });
  assert.equal(
    valueAt(address("shop/web.shop.svc.cluster.local"), "service", "waypoint", "hostname", "hostname"),
    "wp.shop.svc.cluster.local",
  );
  assert.deepEqual(
    [served("shop/wp"), served("shop/next")],
    [["inbound-vip|80|http|web.shop.svc.cluster.local"], ["inbound-vip|80|http|web.shop.svc.cluster.local"]],
  );
  apply(web(canaryLabels));
  assert.deepEqual(shares(), { wp: 100, next: 0 });
  apply(annotated(namespace("shop", canaryLabels), { [weightAnnotation]: "50" }), web());
  assert.deepEqual(shares(), { wp: 50, next: 50 });
  apply(web({ "istio.io/use-waypoint": "wp" }));
  assert.deepEqual(shares(), {});
});

test("an unusable canary is ignored: missing, unready, the primary itself, or with another weight", () => {
  const { apply, remove, shares } = mesh();
  const divided = (weight: string, canary = "next"): KubernetesObject =>
    annotated(web({ ...canaryLabels, "istio.io/use-waypoint-canary": canary }), { [weightAnnotation]: weight });
  apply(namespace("shop"), ...waypoint("wp", 9), divided("10"));
  assert.deepEqual(shares(), {});
  apply(...waypoint("next", 10));
  assert.deepEqual(shares(), { wp: 90, next: 10 });
  for (const weight of ["101", "-1", "ten", "1.5", ""]) {
    apply(divided(weight));
    assert.deepEqual(shares(), {}, `weight "${weight}"`);
  }
  apply(divided("10", "wp"));
  assert.deepEqual(shares(), {});
  apply(
    divided("10"),
    slice("shop/next", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.10", pod: "next-1", ready: false }]),
  );
  assert.deepEqual(shares(), {});
  remove(...waypoint("next", 10));
  assert.deepEqual(shares(), {});
});

test("gateways that route through waypoints split requests by the weights", () => {
  const { apply, ingress } = mesh();
  const own = { ...canaryLabels, "istio.io/ingress-use-waypoint": "true" };
  apply(
    namespace("shop"),
    ...waypoint("wp", 9),
    ...waypoint("next", 10),
    proxy("wp", "wp-2", 11),
    annotated(web(own), { [weightAnnotation]: "20" }),
  );
  assert.deepEqual(ingress(), { "10.244.1.9:15008": 4000, "10.244.1.11:15008": 4000, "10.244.1.10:15008": 2000 });
  apply(annotated(web(own), { [weightAnnotation]: "100" }));
  assert.deepEqual(ingress(), { "10.244.1.10:15008": 1 });
});

test("a canary of a waypoint's revision gets its weight for any number of pods, in ztunnels and gateways, and distance is then ignored", () => {
  const { apply, capacity, ingress, address, placements } = mesh();
  const canary = (weight?: string): Record<string, string> => ({
    "rollout.serin.dev/canary-revision": "next",
    ...(weight === undefined ? {} : { "rollout.serin.dev/canary-weight": weight }),
  });
  const balancing = (): unknown =>
    valueAt(address("shop/wp.shop.svc.cluster.local"), "service", "loadBalancing", "mode");
  apply(
    namespace("shop"),
    ...waypoint("wp", 9),
    proxy("wp", "wp-2", 11),
    proxy("wp", "wp-3", 12),
    web({ "istio.io/use-waypoint": "wp", "istio.io/ingress-use-waypoint": "true" }),
  );
  assert.deepEqual([capacity("wp-1"), balancing(), placements.get("shop/wp")?.canary], [undefined, "FAILOVER", false]);
  apply(waypoint("wp", 9, {}, canary("10"))[0] ?? assert.fail());
  assert.deepEqual([capacity("wp-1"), balancing(), placements.get("shop/wp")?.canary], [undefined, undefined, true]);
  apply(proxy("wp", "wp-next", 13, { canary: true }));
  assert.deepEqual(["wp-1", "wp-2", "wp-3", "wp-next"].map(capacity), [90, 90, 90, 30]);
  assert.deepEqual(ingress(), {
    "10.244.1.9:15008": 3000,
    "10.244.1.11:15008": 3000,
    "10.244.1.12:15008": 3000,
    "10.244.1.13:15008": 1000,
  });
  apply(waypoint("wp", 9, {}, canary("100"))[0] ?? assert.fail());
  assert.deepEqual(["wp-1", "wp-next"].map(capacity), [0, 300]);
  apply(proxy("wp", "wp-next", 13, { canary: true, ready: false }));
  assert.deepEqual(["wp-1", "wp-next"].map(capacity), [undefined, undefined], "nobody is ready there");
});
