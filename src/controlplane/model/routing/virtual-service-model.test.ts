import assert from "node:assert/strict";
import { test } from "node:test";
import { many } from "../../../base/testing/index.ts";
import { config, createModelFixture } from "../../testing/model-fixture.ts";
import { deriveVirtualServices } from "./virtual-service-model.ts";

test("a root that names a delegate many times gets no more routes than one object may have", () => {
  const { graph, inputs, apply } = createModelFixture();
  const { models } = deriveVirtualServices(graph, inputs);
  const route = [{ destination: { host: "web.shop.svc.cluster.local" } }];
  const roots = (count: number): object[] =>
    many(count, (index) => ({
      match: [{ headers: { x: { exact: `${index}` } } }],
      delegate: { name: "part", namespace: "other" },
    }));
  const part = many(400, (index) => ({ match: [{ uri: { prefix: `/p${index}` } }], route }));
  const hosts = many(50, (index) => `h${index}.example.com`);
  apply(
    config("VirtualService", "other/part", { http: part }),
    config("VirtualService", "shop/few", { hosts, http: roots(4) }),
    config("VirtualService", "shop/many", { hosts, http: roots(40) }),
  );
  graph.settle();
  assert.deepEqual(
    ["shop/few", "shop/many"].map((key) => models.get(key)?.http.length),
    [1_600, 2_000],
  );
});
