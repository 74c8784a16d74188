import assert from "node:assert/strict";
import { test } from "node:test";
import { localityOfLabels } from "./index.ts";

test("a workload's locality comes from Istio's label, with dots or slashes between the parts", () => {
  assert.equal(localityOfLabels({ "istio-locality": "eu.west.a" }), "eu/west/a");
  assert.equal(localityOfLabels({ "istio-locality": "eu/west/a" }), "eu/west/a");
});

test("the newer label wins over the older one, even if it is empty", () => {
  assert.equal(localityOfLabels({ "topology.istio.io/locality": "eu.north", "istio-locality": "us" }), "eu/north/");
  assert.equal(localityOfLabels({ "topology.istio.io/locality": "", "istio-locality": "us" }), undefined);
});

test("a workload without the labels has no locality of its own", () => {
  assert.equal(localityOfLabels({ app: "reviews" }), undefined);
});
