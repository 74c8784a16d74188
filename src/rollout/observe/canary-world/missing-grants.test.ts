import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { RouteInWorld } from "../../plan/index.ts";
import type { CanarySources } from "./canary-sources.ts";
import { missingGrants } from "./missing-grants.ts";

const canary = {
  metadata: { name: "web", namespace: "shop" },
  spec: {
    target: { httpRoute: { name: "web", stable: { name: "web" }, canary: { name: "web", namespace: "next" } } },
  },
} as unknown as Canary;
const routes = [{ object: { kind: "HTTPRoute", name: "web", namespace: "shop" } }] as unknown as RouteInWorld[];
const grant = (name: string, service: string): object => ({
  metadata: { name, namespace: "next" },
  spec: { from: [{ kind: "HTTPRoute", namespace: "shop" }], to: [{ kind: "Service", name: service }] },
});

test("a grant of the Canary's own name stays in the plan, with what it grants now", async () => {
  const missingWith = async (...items: readonly object[]): Promise<unknown> => {
    const client = { list: async () => await Promise.resolve({ items }) } as unknown as KubeClient;
    return await missingGrants({ client } as unknown as CanarySources, canary, routes);
  };
  const need = { kind: "HTTPRoute", fromNamespace: "shop", toNamespace: "next", service: "web" };
  assert.deepEqual(await missingWith(), [need]);
  assert.deepEqual(await missingWith(grant("theirs", "other")), [need]);
  assert.deepEqual(await missingWith(grant("theirs", "web")), []);
  assert.deepEqual(await missingWith(grant("web.shop-httproute-shop", "other")), [
    { ...need, granted: [{ kind: "Service", name: "other" }] },
  ]);
});
