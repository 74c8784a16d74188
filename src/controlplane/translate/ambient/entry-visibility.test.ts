import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { parseMeshConfig } from "../../../api/istio/index.ts";
import { AddressSchema } from "../../../wire/workload/index.ts";
import { meshSettings } from "../../mesh-settings.ts";
import { meshKey } from "../../model/index.ts";
import { WaypointBindings } from "../../model/ambient/waypoint-bindings.ts";
import { deriveWaypoints } from "../../model/ambient/waypoint.ts";
import { deriveServiceRegistry } from "../../model/service/service-model.ts";
import { decodeResource } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, testMesh } from "../../testing/model-fixture.ts";
import { deriveAmbientResources } from "./ambient-resources.ts";

const internal = { matchLabels: { trust: "low" } };
const policies = [
  {
    visibility: "NONE",
    matchingRules: [{ namespaceSelector: internal }, { namespaceSelector: { matchLabels: { a: "b" } } }],
  },
  { visibility: "NAMESPACE", matchingRules: [{ namespaceSelector: internal }] },
  { visibility: "NONE", matchingRules: [{ namespaceSelector: { matchLabels: { trust: "none" } } }] },
];

function visible(serviceEntryVisibility: object | undefined) {
  const fixture = createModelFixture();
  const { graph, inputs, apply } = fixture;
  const registry = deriveServiceRegistry(graph, inputs);
  const { addresses } = deriveAmbientResources(graph, inputs);
  const { value, errors } = parseMeshConfig(serviceEntryVisibility === undefined ? {} : { serviceEntryVisibility });
  assert.deepEqual(errors, []);
  assert.ok(value !== undefined);
  inputs.mesh.set(meshKey, meshSettings(value, testMesh));
  apply(namespace("low", { trust: "low" }), namespace("none", { trust: "none" }), namespace("shop"));
  for (const name of ["low", "none", "shop"])
    apply(
      config("ServiceEntry", `${name}/api`, {
        hosts: [`api.${name}.example.com`],
        resolution: "DNS",
        ports: [{ number: 443, name: "tls", protocol: "TLS" }],
      }),
    );
  const names = ["low", "none", "shop"];
  return {
    ...fixture,
    /** The visibility that ztunnels receive for each entry. Undefined if they do not receive the entry. */
    told: (): readonly unknown[] =>
      names.map((name) => {
        const found = addresses
          .map((collection) => collection.get(`${name}/api.${name}.example.com`))
          .find((resource) => resource !== undefined);
        if (found === undefined) return undefined;
        return (decodeResource(AddressSchema, found)["service"] as JsonObject)["visibility"] ?? "PUBLIC";
      }),
    sidecars: (): readonly unknown[] =>
      names.map((name) => [...registry.entries.values()].find(({ namespace: own }) => own === name)?.visibleIn),
  };
}

test("the first policy whose selectors all match decides who sees a namespace's ServiceEntries", () => {
  assert.deepEqual(visible(undefined).told(), ["PUBLIC", "PUBLIC", "PUBLIC"]);
  assert.deepEqual(visible({ policies }).told(), ["NAMESPACE", undefined, "PUBLIC"]);
  assert.deepEqual(visible({ policies, defaultVisibility: "NONE" }).told(), ["NAMESPACE", undefined, undefined]);
  assert.deepEqual(
    visible({ policies: [{ visibility: "NAMESPACE", matchingRules: [{}] }] }).told(),
    ["PUBLIC", "PUBLIC", "PUBLIC"],
    "a rule without a selector matches nothing",
  );
  assert.deepEqual(
    visible({ policies: [{ visibility: "NAMESPACE" }] }).told(),
    ["NAMESPACE", "NAMESPACE", "NAMESPACE"],
    "a policy without rules matches all",
  );
});

test("a label change updates which entries a namespace's clients and others see", () => {
  const { apply, told } = visible({ policies });
  apply(namespace("low", { trust: "none" }), namespace("shop", { trust: "low" }));
  assert.deepEqual(told(), [undefined, undefined, "NAMESPACE"]);
});

test("sidecars obey visibility only with applyToSidecars, and exportTo is never widened", () => {
  assert.deepEqual(visible({ policies }).sidecars(), [["*"], ["*"], ["*"]]);
  const { apply, sidecars } = visible({ policies, applyToSidecars: true });
  assert.deepEqual(sidecars(), [["low"], [], ["*"]]);
  const spec = {
    hosts: ["api.low.example.com"],
    resolution: "DNS",
    ports: [{ number: 443, name: "tls", protocol: "TLS" }],
  };
  for (const [exportTo, seen] of [
    [["shop"], []],
    [["shop", "."], ["low"]],
    [["~"], []],
    [["low"], ["low"]],
  ] as const) {
    apply(config("ServiceEntry", "low/api", { ...spec, exportTo }));
    assert.deepEqual(sidecars()[0], seen, exportTo.join());
  }
});

test("a ServiceEntry that only its own namespace sees has no waypoint of another namespace", () => {
  const { graph, inputs, apply } = visible({ policies });
  const bindings = new WaypointBindings(inputs, deriveWaypoints(graph, inputs));
  apply({
    ...config(
      "Gateway",
      "edge/way",
      {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } }],
      },
      { labels: { "istio.io/waypoint-for": "all" } },
    ),
    apiVersion: "gateway.networking.k8s.io/v1",
  });
  const labels = { "istio.io/use-waypoint": "way", "istio.io/use-waypoint-namespace": "edge" };
  const reasons: unknown[] = [];
  // Only a derivation gets a reader, so derive any collection.
  graph.derive("probe", inputs.namespaces, ({ name }, reader) => {
    const subject = { namespace: name, labels, selector: {}, source: "ServiceEntry" };
    const { waypoint, fault } = bindings.bindingOfService(subject, reader);
    reasons.push([name, waypoint?.key ?? fault?.reason]);
    return [];
  });
  graph.settle();
  assert.deepEqual(reasons, [
    ["low", "CrossNamespaceWaypointForbidden"],
    ["none", "CrossNamespaceWaypointForbidden"],
    ["shop", "edge/way"],
  ]);
});
