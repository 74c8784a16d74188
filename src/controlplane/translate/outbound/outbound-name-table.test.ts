import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { nameTable } from "./outbound-name-table.ts";

test("a proxy's name table has no host by which another namespace would get names with a search domain", () => {
  const entry = (namespace: string, hostname: string): ServiceModel =>
    ({
      registry: "External",
      namespace,
      hostname,
      addresses: ["240.240.1.1"],
      resolution: "endpoints",
    }) as unknown as ServiceModel;
  const table = nameTable(
    [
      entry("shop", "*.cluster.local"),
      entry("shop", "*.local"),
      entry("shop", "*.svc.cluster.local"),
      entry("shop", "*.front.svc.cluster.local"),
      entry("shop", "*.db.shop.svc.cluster.local"),
      entry("shop", "*.example.com"),
      entry("shop", "api.github.com.front.svc.cluster.local"),
      entry("shop", "api.github.com.svc.cluster.local"),
      entry("shop", "github.svc.cluster.local"),
      entry("shop", "api.github.com.cluster.local"),
      entry("shop", "planned.front.svc.cluster.local"),
      entry("shop", "db-0.db.shop.svc.cluster.local"),
      entry("front", "*.far.svc.cluster.local"),
    ],
    () => [],
    { namespace: "front", domain: "cluster.local" },
  );
  assert.deepEqual(Object.keys(table.table), [
    "*.db.shop.svc.cluster.local",
    "*.example.com",
    "planned.front.svc.cluster.local",
    "db-0.db.shop.svc.cluster.local",
    "*.far.svc.cluster.local",
  ]);
});
