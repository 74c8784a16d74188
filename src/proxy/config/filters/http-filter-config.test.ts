import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyRegistry, HttpConnectionManagerSchema } from "../../../wire/envoy/index.ts";
import type { HttpFilter } from "../../filters/http-filter.ts";
import { neverAborted, testRequest } from "../../testing/filter-request.ts";
import { ConfigNotes } from "../config-check.ts";
import { compileFilterOverrides, noOverrides } from "./filter-overrides-config.ts";
import { compileHttpFilters, type HttpFilters } from "./http-filter-config.ts";

const notes = new ConfigNotes(() => undefined);

function compileAll(name: string, typedConfig: JsonObject): HttpFilters {
  const { httpFilters } = fromJson(
    HttpConnectionManagerSchema,
    { httpFilters: [{ name, typedConfig }] },
    { registry: envoyRegistry() },
  );
  return compileHttpFilters(httpFilters, "", "test", notes);
}

function compile(name: string, typedConfig: JsonObject): readonly HttpFilter[] {
  return compileAll(name, typedConfig).filters;
}

const typedStruct = (type: string, value: JsonObject): JsonObject => ({
  "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
  typeUrl: `type.googleapis.com/${type}`,
  value,
});

const limitType = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const always = { default_value: { numerator: 100, denominator: "HUNDRED" } };
const limit = {
  stat_prefix: "http_local_rate_limiter",
  token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: "600s" },
  filter_enabled: { runtime_key: "enabled", ...always },
  filter_enforced: { runtime_key: "enforced", ...always },
  response_headers_to_add: [{ append: false, header: { key: "x-local-rate-limit", value: "true" } }],
};

test("a filter's configuration may be a TypedStruct, as in the EnvoyFilters of Istio's documents", () => {
  const [filter] = compile("envoy.filters.http.local_ratelimit", typedStruct(limitType, limit));
  const sendRequest = (): unknown => filter?.onRequest(testRequest(), neverAborted);
  assert.equal(sendRequest(), undefined);
  assert.equal((sendRequest() as { readonly status: number }).status, 429);
});

test("a TypedStruct that does not fit its type is refused, and the error names the field", () => {
  assert.throws(
    () => compile("limit", typedStruct(limitType, { ...limit, tocken_bucket: {} })),
    /the HTTP filter limit.*tocken_bucket/,
  );
});

test("a TypedStruct can configure metrics", () => {
  const settings = { metrics: [{ name: "requests_total", tags_to_remove: ["source_app"] }] };
  const plain = compileAll("istio.stats", { "@type": "type.googleapis.com/stats.PluginConfig", ...settings });
  assert.ok(plain.stats !== undefined);
  assert.deepEqual(compileAll("istio.stats", typedStruct("stats.PluginConfig", settings)), plain);
});

test("a route's CORS policy may be a TypedStruct, also one that a FilterConfig holds", () => {
  const policy = typedStruct("envoy.extensions.filters.http.cors.v3.CorsPolicy", { allow_methods: "GET" });
  const filterConfig = "envoy.config.route.v3.FilterConfig";
  for (const typedConfig of [
    policy,
    { "@type": `type.googleapis.com/${filterConfig}`, config: policy },
    typedStruct(filterConfig, { config: policy }),
  ]) {
    const any = fromJson(AnySchema, typedConfig, { registry: envoyRegistry() });
    const { cors } = compileFilterOverrides({ "envoy.filters.http.cors": any }, noOverrides, "test", notes);
    assert.equal(cors?.allowMethods, "GET");
  }
});
