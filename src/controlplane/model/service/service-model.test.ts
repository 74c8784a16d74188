import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceModel } from "./service.ts";
import { serviceInCluster } from "./service-model.ts";

test("a proxy that names a cluster like a property of every object gets the service's own addresses", () => {
  const service = { addresses: ["10.0.0.1"], addressesByCluster: { west: ["10.1.0.1"] } } as unknown as ServiceModel;
  assert.deepEqual(serviceInCluster(service, "west").addresses, ["10.1.0.1"]);
  for (const cluster of ["constructor", "toString", "__proto__", "east"])
    assert.deepEqual(serviceInCluster(service, cluster).addresses, ["10.0.0.1"], cluster);
});
