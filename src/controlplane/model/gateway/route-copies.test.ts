import assert from "node:assert/strict";
import { test } from "node:test";
import { many } from "../../../base/testing/index.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { config, createModelFixture, namespace, service } from "../../testing/model-fixture.ts";
import { deriveRouteModels, type RouteModel } from "./gateway-model.ts";

const ofGatewayApi = { apiVersion: "gateway.networking.k8s.io/v1" };

const shop: readonly KubernetesObject[] = [
  namespace("shop"),
  {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "GatewayClass",
    metadata: { name: "istio" },
    spec: { controllerName: "istio.io/gateway-controller" },
  } as KubernetesObject,
  {
    ...config("Gateway", "shop/own", {
      gatewayClassName: "istio",
      listeners: many(32, (index) => ({ name: `l${index}`, port: 8_000 + index, protocol: "HTTP" })),
    }),
    ...ofGatewayApi,
  },
  service(
    "shop/web",
    "10.96.0.1",
    {},
    many(200, (index) => ({ name: `http-${index}`, port: index + 1 })),
  ),
];

function modelOf(spec: object): RouteModel | undefined {
  const { graph, inputs, apply } = createModelFixture();
  const [http] = deriveRouteModels(graph, inputs);
  apply(...shop, { ...config("HTTPRoute", "shop/web", spec), ...ofGatewayApi });
  graph.settle();
  return http.get("shop/web");
}

const listeners = (count: number): readonly object[] =>
  many(count, (index) => ({ name: "own", sectionName: `l${index}` }));
const rules = (count: number, content: object): readonly object[] =>
  many(count, (rule) => ({
    matches: many(8, (index) => ({ path: { type: "PathPrefix", value: `/${rule}/${index}` } })),
    backendRefs: [{ name: "web", port: 1 }],
    ...content,
  }));

test("a route is refused at the listeners at which it would have too many copies of its matches", () => {
  const hostnames = many(16, (index) => `h${index}.example.com`);
  const { parents = [] } = modelOf({ parentRefs: listeners(10), hostnames, rules: rules(16, {}) }) ?? {};
  assert.deepEqual(
    parents.map(({ refused }) => refused?.reason),
    [...many(8, () => undefined), "UnsupportedValue", "UnsupportedValue"],
  );
  assert.deepEqual(
    parents.map((parent) => parent.listeners.length),
    [...many(8, () => 1), 0, 0],
  );
  assert.match(
    parents[8]?.refused?.message ?? "",
    /^with this parent, the 128 matches \(\d+ characters with their rules\) have 144 copies, .* at most 16384 matches and 67108864 characters may be in all copies together; name fewer parents, ports or hostnames, or divide the route$/,
  );
});

test("a long route is refused for a Service with so many ports that its copies are too long", () => {
  const set = many(16, (index) => ({ name: `x-${index}`, value: "v".repeat(4_000) }));
  const filters = [{ type: "RequestHeaderModifier", requestHeaderModifier: { set } }];
  const parentRefs = (ports: readonly object[]): readonly object[] =>
    ports.map((port) => ({ kind: "Service", group: "", name: "web", ...port }));
  const refusals = (ports: readonly object[]): readonly boolean[] =>
    modelOf({ parentRefs: parentRefs(ports), rules: rules(2, { filters }) })?.parents.map(
      ({ refused }) => refused !== undefined,
    ) ?? [];
  assert.deepEqual(refusals(many(32, (index) => ({ port: index + 1 }))), [...many(32, () => false)]);
  assert.deepEqual(refusals([{}]), [true]);
});
