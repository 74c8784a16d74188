import assert from "node:assert/strict";
import { test } from "node:test";
import { trafficExtensionKind } from "../../api/istio/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import type { SelectedExtension } from "../model/extension-selection.ts";
import { config } from "../testing/model-fixture.ts";
import { compileExtension } from "./extension-filters.ts";
import { guardedScript } from "./guarded-script.ts";

const serviceTarget = { kind: "Service", group: "", name: "web" };

interface Proxy {
  readonly envoy: boolean;
  readonly discovers: boolean;
}

function compiledScript(hosts: SelectedExtension["hosts"], proxy: Proxy, inlineCode = "-- x") {
  const object = config("TrafficExtension", "shop/script", { lua: { inlineCode }, targetRefs: [serviceTarget] });
  const parsed = trafficExtensionKind.parse?.(object).value;
  assert.ok(parsed !== undefined);
  const facts = { namespace: "shop", name: "script", spec: parsed.spec } as unknown as SelectedExtension["facts"];
  return compileExtension({ facts, hosts }, { ...proxy, types: envoyTypes(), pullSecret: () => "" }).http;
}

function isOptional(hosts: SelectedExtension["hosts"], proxy: Proxy) {
  return compiledScript(hosts, proxy)?.["isOptional"];
}

test("a script is optional only for a service at a waypoint, and only in proxies of ours that run scripts", () => {
  const ours = { envoy: false, discovers: true };
  assert.equal(isOptional(["web.shop.svc.cluster.local"], ours), true);
  assert.equal(isOptional(undefined, ours), false, "for all traffic of a proxy");
  assert.equal(isOptional(["web.shop.svc.cluster.local"], { envoy: true, discovers: true }), false, "an Envoy");
  assert.equal(isOptional(["web.shop.svc.cluster.local"], { envoy: false, discovers: false }), false, "an older proxy");
});

test("an Envoy gets the script of a service at a waypoint within one that always loads, and other scripts as they are", () => {
  const sourceFor = (hosts: SelectedExtension["hosts"], proxy: Proxy, code: string): unknown => {
    const settings = compiledScript(hosts, proxy, code)?.["typedConfig"] as Record<string, Record<string, unknown>>;
    return settings["defaultSourceCode"]?.["inlineString"];
  };
  const ours = { envoy: false, discovers: true };
  const envoy = { envoy: true, discovers: true };
  const hosts = ["web.shop.svc.cluster.local"];
  const code = "x = a[b[1]]";
  assert.equal(sourceFor(hosts, ours, code), code);
  assert.equal(sourceFor(undefined, envoy, code), code);
  assert.equal(sourceFor(hosts, envoy, code), guardedScript(code));
});
