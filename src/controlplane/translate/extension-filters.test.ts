import assert from "node:assert/strict";
import { test } from "node:test";
import { trafficExtensionKind } from "../../api/istio/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import type { SelectedExtension } from "../model/extension-selection.ts";
import { config } from "../testing/model-fixture.ts";
import { compileExtension } from "./extension-filters.ts";

const serviceTarget = { kind: "Service", group: "", name: "web" };

function isOptional(
  hosts: SelectedExtension["hosts"],
  proxy: { readonly envoy: boolean; readonly discovers: boolean },
) {
  const object = config("TrafficExtension", "shop/script", {
    lua: { inlineCode: "-- x" },
    targetRefs: [serviceTarget],
  });
  const parsed = trafficExtensionKind.parse?.(object).value;
  assert.ok(parsed !== undefined);
  const facts = { namespace: "shop", name: "script", spec: parsed.spec } as unknown as SelectedExtension["facts"];
  const { http } = compileExtension({ facts, hosts }, { ...proxy, types: envoyTypes(), pullSecret: () => "" });
  return http?.["isOptional"];
}

test("a script is optional only for a service at a waypoint, and only in proxies of ours that run scripts", () => {
  const ours = { envoy: false, discovers: true };
  assert.equal(isOptional(["web.shop.svc.cluster.local"], ours), true);
  assert.equal(isOptional(undefined, ours), false, "for all traffic of a proxy");
  assert.equal(isOptional(["web.shop.svc.cluster.local"], { envoy: true, discovers: true }), false, "an Envoy");
  assert.equal(isOptional(["web.shop.svc.cluster.local"], { envoy: false, discovers: false }), false, "an older proxy");
});
