import assert from "node:assert/strict";
import { test } from "node:test";
import type { Store } from "../store/index.ts";
import { ServiceAllocator } from "./service-allocator.ts";

test("a Service that an earlier release stored with a second family can still be changed", () => {
  const store = { collection: () => ({ list: () => [] }) } as unknown as Store;
  const allocator = new ServiceAllocator(store, "10.96.0.0/16", () => 0);
  const service = (): { metadata: object; spec: object } => ({
    metadata: { name: "dual" },
    spec: { clusterIP: "10.96.0.20", ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv4", "IPv6"], ports: [] },
  });
  assert.throws(() => allocator.allocate(service(), undefined), /dual-stack/);
  using _hold = allocator.allocate(service(), service());
});
