import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { envoyRegistry, HttpConnectionManagerSchema } from "../../wire/envoy/index.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import { neverAborted, testRequest } from "../testing/filter-request.ts";
import { ConfigNotes } from "./config-check.ts";
import { compileHttpFilters } from "./http-filter-config.ts";

function compile(name: string, typedConfig: JsonObject): readonly HttpFilter[] {
  const { httpFilters } = fromJson(
    HttpConnectionManagerSchema,
    { httpFilters: [{ name, typedConfig }] },
    { registry: envoyRegistry() },
  );
  return compileHttpFilters(httpFilters, "", "test", new ConfigNotes(() => undefined)).filters;
}

const typeUrl = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const always = { default_value: { numerator: 100, denominator: "HUNDRED" } };
const limit = {
  stat_prefix: "http_local_rate_limiter",
  token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: "600s" },
  filter_enabled: { runtime_key: "enabled", ...always },
  filter_enforced: { runtime_key: "enforced", ...always },
  response_headers_to_add: [{ append: false, header: { key: "x-local-rate-limit", value: "true" } }],
};

test("a filter's configuration may be a TypedStruct, as in the EnvoyFilters of Istio's documents", () => {
  const [filter] = compile("envoy.filters.http.local_ratelimit", {
    "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
    typeUrl,
    value: limit,
  });
  const ask = (): unknown => filter?.onRequest(testRequest(), neverAborted);
  assert.equal(ask(), undefined);
  assert.equal((ask() as { readonly status: number }).status, 429);
});

test("a TypedStruct that does not fit its type is refused by the field", () => {
  assert.throws(
    () =>
      compile("limit", {
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        typeUrl,
        value: { ...limit, tocken_bucket: {} },
      }),
    /the HTTP filter limit.*tocken_bucket/,
  );
});
