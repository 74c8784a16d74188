import assert from "node:assert/strict";
import { test } from "node:test";
import { config, createModelFixture, testMesh } from "../testing/model-fixture.ts";
import { PolicySelection } from "./authorization-selection.ts";
import { factsKey, meshKey } from "./facts.ts";

test("policies of the root namespace go first, or those of the subject, and older ones before younger ones", () => {
  const { apply, graph, inputs } = createModelFixture();
  const selection = new PolicySelection(inputs.requestAuthentications);
  const subject = { namespace: "shop", labels: { app: "web" } };
  const orders = graph.derive("orders", inputs.mesh, (_, reader) => [
    [
      meshKey,
      (["root", "own"] as const).map((first) =>
        selection.attachedTo(subject, "istio-system", reader, first).map(factsKey).join(" "),
      ),
    ],
  ]);
  inputs.mesh.set(meshKey, testMesh);
  const rule = (key: string, year: number): ReturnType<typeof config> =>
    config(
      "RequestAuthentication",
      key,
      { jwtRules: [{ issuer: "https://issuer.example", jwks: '{"keys":[]}' }] },
      { creationTimestamp: `${year}-01-01T00:00:00Z` },
    );
  apply(rule("istio-system/mesh", 2027), rule("shop/a", 2026), rule("shop/b", 2025));
  assert.deepEqual(orders.get(meshKey), ["istio-system/mesh shop/b shop/a", "shop/b shop/a istio-system/mesh"]);
});
