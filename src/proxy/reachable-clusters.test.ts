import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { RouteConfigurationSchema } from "../wire/envoy/index.ts";
import { ConfigNotes } from "./config/config-check.ts";
import { compileRouteTable } from "./config/routing/route-config.ts";
import type { ChainSpec } from "./listener/listener-spec.ts";
import { reachableClusters } from "./reachable-clusters.ts";
import type { RouteTable } from "./routing/route-table.ts";

function tableOf(route: JsonObject): RouteTable {
  const virtualHosts = [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route }] }];
  return compileRouteTable(
    fromJson(RouteConfigurationSchema, { name: "t", virtualHosts }),
    new ConfigNotes(() => undefined),
  );
}

const chainOf = (serves: unknown): ChainSpec => ({ serves }) as ChainSpec;

test("chains lead to the clusters of their routes, of raw connections and of tunnels", () => {
  const chains = [
    chainOf({ kind: "http", http: { routes: { kind: "inline", table: tableOf({ cluster: "inbound|8080||" }) } } }),
    chainOf({ kind: "http", http: { routes: { kind: "rds", name: "t" } } }),
    chainOf({ kind: "tcp", tcp: { clusters: [{ cluster: "raw", weight: 1 }] } }),
    chainOf({ kind: "hbone", cluster: "inner" }),
  ];
  const reachable = reachableClusters([tableOf({ cluster: "routed" })], chains);
  const names = ["inbound|8080||", "raw", "inner", "routed", "other"];
  assert.deepEqual(
    names.filter((name) => reachable.has(name)),
    ["inbound|8080||", "raw", "inner", "routed"],
  );
});

test("routes lead to the clusters of their mirrors, and to every cluster if a header chooses it", () => {
  const mirrored = reachableClusters([tableOf({ cluster: "a", requestMirrorPolicies: [{ cluster: "copy" }] })], []);
  assert.deepEqual([mirrored.has("copy"), mirrored.has("b")], [true, false]);
  assert.equal(reachableClusters([tableOf({ clusterHeader: "x-cluster" })], []).has("b"), true);
});
