import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { valueAt } from "../../testing/decode-resource.ts";
import { config, namespace } from "../../testing/model-fixture.ts";
import { createOutboundFixture } from "../../testing/outbound-fixture.ts";

const entry = config("ServiceEntry", "shop/out", {
  hosts: ["out.example.com"],
  ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  resolution: "DNS",
  endpoints: [
    { address: "own.test", locality: "region/zone/subzone", labels: { tier: "gold" } },
    { address: "near.test", locality: "near/zone/subzone", labels: { tier: "gold" } },
    { address: "far.test", locality: "far/zone/subzone" },
  ],
});
const outlierDetection = { interval: "1s" };
const rule = (localityLbSetting: object, more: object = {}): KubernetesObject =>
  config("DestinationRule", "shop/out", {
    host: "out.example.com",
    trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN", localityLbSetting }, ...more },
    subsets: [{ name: "gold", labels: { tier: "gold" } }],
  });

type Row = readonly [region: string, weight: number, priority: number, ...names: readonly string[]];

function localitiesOf(cluster: JsonObject | undefined): unknown {
  return ((valueAt(cluster, "loadAssignment", "endpoints") ?? []) as readonly JsonObject[]).map((locality) => [
    valueAt(locality, "locality", "region"),
    locality["loadBalancingWeight"],
    locality["priority"] ?? 0,
    ...((locality["lbEndpoints"] ?? []) as readonly JsonObject[]).map((endpoint) =>
      valueAt(endpoint, "endpoint", "address", "socketAddress", "address"),
    ),
  ]);
}

test("a cluster of DNS names has the locality weights and priorities of its rule, and exists even if the rule leaves no name", () => {
  const { apply, serve } = createOutboundFixture();
  apply(namespace("shop"), entry);
  const locality = { region: "region", zone: "zone", subzone: "subzone" };
  const served = [
    serve({ locality, labels: { tier: "gold" } }),
    serve({ kind: "router", locality, labels: { tier: "gold" } }),
  ];
  const expect = (setting: KubernetesObject, subset: string, expected: readonly Row[]): void => {
    apply(setting);
    for (const one of served) {
      const cluster = one.clusters()[`outbound|80|${subset}|out.example.com`];
      assert.equal(cluster?.["type"], "STRICT_DNS");
      assert.deepEqual(localitiesOf(cluster), expected, JSON.stringify(setting));
    }
  };
  const distribute = rule({ distribute: [{ from: "region", to: { near: 80, region: 20 } }] });
  // The locality `far` gets no requests, because the distribution does not list it.
  expect(distribute, "", [
    ["far", 1, 0],
    ["near", 80, 0, "near.test"],
    ["region", 20, 0, "own.test"],
  ]);
  expect(distribute, "gold", [
    ["near", 80, 0, "near.test"],
    ["region", 20, 0, "own.test"],
  ]);
  // The cluster still exists, although no name is left in it.
  expect(rule({ distribute: [{ from: "region", to: { elsewhere: 100 } }] }), "gold", [
    ["near", 1, 0],
    ["region", 1, 0],
  ]);
  const failover = { failover: [{ from: "region", to: "near" }] };
  expect(rule(failover, { outlierDetection }), "", [
    ["far", 1, 2, "far.test"],
    ["near", 1, 1, "near.test"],
    ["region", 1, 0, "own.test"],
  ]);
  expect(rule({ failoverPriority: ["tier"] }, { outlierDetection }), "", [
    ["far", 1, 1, "far.test"],
    ["near", 1, 0, "near.test"],
    ["region", 1, 0, "own.test"],
  ]);
});
