import assert from "node:assert/strict";
import { test } from "node:test";
import { configView } from "./configs.ts";
import { config, input } from "./testing/small-mesh.ts";

const istio = "networking.istio.io/v1";

test("a route and the DestinationRule of its host refer to each other, whatever the rule's name and the host's form", () => {
  const route = config(istio, "VirtualService", "shop", "to-web", {
    hosts: ["web"],
    http: [{ route: [{ destination: { host: "web.shop.svc.cluster.local", subset: "v1" } }] }],
  });
  const rule = config(istio, "DestinationRule", "shop", "subsets-of-web", { host: "web", subsets: [{ name: "v1" }] });
  const elsewhere = config(istio, "DestinationRule", "bank", "web", { host: "web" });
  const mesh = input({ configs: [route, rule, elsewhere] });
  const namesFor = (object: typeof route): readonly string[] =>
    Object.values(configView(mesh, object, "*", true).tables.references).map(({ name }) => name);
  assert.deepEqual(namesFor(route), ["subsets-of-web"]);
  assert.deepEqual(namesFor(rule), ["to-web"]);
  assert.deepEqual(namesFor(elsewhere), []);
});
