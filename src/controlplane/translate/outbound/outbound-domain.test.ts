import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { serviceDomains } from "./outbound-domain.ts";

const domainsOf = (hostname: string): readonly string[] =>
  serviceDomains({ hostname, addresses: [] } as unknown as ServiceModel, [], "shop", "cluster.local");

test("a host of the client's namespace has a short name, but the short form of a wildcard never matches all hosts", () => {
  assert.deepEqual(domainsOf("cart.shop.svc.cluster.local"), [
    "cart.shop.svc.cluster.local",
    "cart.shop.svc.cluster.local.",
    "cart",
    "cart.shop.svc",
    "cart.shop",
  ]);
  assert.deepEqual(domainsOf("*.shop.svc.cluster.local"), [
    "*.shop.svc.cluster.local",
    "*.shop.svc.cluster.local.",
    "*.shop.svc",
    "*.shop",
  ]);
});
