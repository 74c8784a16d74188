import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { CsrfPolicySchema, envoyRegistry } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileCsrf } from "../config/filters/csrf-config.ts";
import { compileFilterOverrides, noOverrides } from "../config/filters/filter-overrides-config.ts";
import { testRequest } from "../testing/filter-request.ts";
import { CsrfFilter } from "./csrf-filter.ts";
import { standaloneServices } from "./filter-services.ts";

const name = "envoy.filters.http.csrf";
const notes = new ConfigNotes((note) => assert.fail(note));
const compile = (config: JsonObject) => compileCsrf(fromJson(CsrfPolicySchema, config), "test", notes);
const percent = (numerator: number): JsonObject => ({ defaultValue: { numerator } });
const on = { filterEnabled: percent(100) };

function filterOf(config: JsonObject, random?: () => number) {
  const services = { ...standaloneServices(), ...(random === undefined ? {} : { random }) };
  const filter = new CsrfFilter(name, compile(config), services, "http.in.");
  const counted = (): Record<string, number> =>
    Object.fromEntries([...services.statistics.entries()].map(([key, { value }]) => [key, value]));
  return { filter, counted };
}

interface SentRequest {
  readonly method?: string;
  readonly authority?: string;
  readonly origin?: string;
  readonly referer?: string;
  readonly filterConfigs?: ReadonlyMap<string, object>;
}

function statusOf(filter: CsrfFilter, sent: SentRequest): number | undefined {
  const { method = "POST", authority = "a.com", origin, referer, filterConfigs = new Map() } = sent;
  const headers = {
    ...(origin === undefined ? {} : { origin }),
    ...(referer === undefined ? {} : { referer }),
  };
  return filter.onRequest(testRequest("/", { method, authority, headers, filterConfigs }))?.status;
}

test("a request that changes something passes only from its own host, by origin or else by referer", () => {
  const { filter, counted } = filterOf(on);
  const passing: readonly SentRequest[] = [
    { origin: "http://a.com" },
    { origin: "https://a.com" },
    { origin: "HTTP://A.com" },
    { origin: "a.com" },
    { origin: "http://a.com/path" },
    { origin: "http://user@a.com" },
    { origin: "", referer: "http://a.com/x?y" },
    { referer: "http://a.com/x?y" },
    { authority: "a.com:81", origin: "http://a.com:81" },
  ];
  for (const sent of passing) assert.equal(statusOf(filter, sent), undefined, JSON.stringify(sent));
  const invalid: readonly SentRequest[] = [
    { origin: "http://b.com" },
    { origin: "http://b.com", referer: "http://a.com/" },
    { origin: "http://a.com:80" },
    { origin: "http://b.com/a.com" },
    { origin: "http://a.com@b.com" },
    { origin: "http://b.com#a.com" },
    { origin: "://a.com" },
    { origin: "foo http://a.com" },
    { authority: "a.com:81", origin: "http://a.com" },
  ];
  for (const sent of invalid) assert.equal(statusOf(filter, sent), 403, JSON.stringify(sent));
  const missing: readonly SentRequest[] = [
    {},
    { origin: "" },
    { origin: "null" },
    { origin: "null", referer: "http://a.com" },
  ];
  for (const sent of missing) assert.equal(statusOf(filter, sent), 403, JSON.stringify(sent));
  assert.deepEqual(counted(), {
    "http.in.csrf.missing_source_origin": missing.length,
    "http.in.csrf.request_invalid": invalid.length,
    "http.in.csrf.request_valid": passing.length,
  });
  const reply = filter.onRequest(testRequest("/", { method: "POST" }));
  assert.deepEqual([reply?.body, reply?.details], ["Invalid origin", "csrf_origin_mismatch"]);
});

test("only POST, PUT, DELETE and PATCH are judged", () => {
  const { filter } = filterOf(on);
  for (const method of ["POST", "PUT", "DELETE", "PATCH"]) assert.equal(statusOf(filter, { method }), 403, method);
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"])
    assert.equal(statusOf(filter, { method }), undefined, method);
});

test("listed hosts may send requests too, with the port that they show", () => {
  const { filter } = filterOf({ ...on, additionalOrigins: [{ exact: "www.ok.com" }, { suffix: ".good.com" }] });
  assert.equal(statusOf(filter, { origin: "http://www.ok.com" }), undefined);
  assert.equal(statusOf(filter, { origin: "http://x.good.com" }), undefined);
  assert.equal(statusOf(filter, { origin: "http://x.good.com:80" }), 403);
  assert.equal(statusOf(filter, { origin: "http://x.good.com@evil.com" }), 403);
});

test("a policy in the shadow counts and refuses nothing, and a route's policy replaces the filter's", () => {
  const { filter, counted } = filterOf(on);
  const policy = (config: JsonObject) =>
    compileFilterOverrides(
      {
        [name]: fromJson(
          AnySchema,
          { "@type": "type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy", ...config },
          { registry: envoyRegistry() },
        ),
      },
      noOverrides,
      "test",
      notes,
    ).configs;
  const off = policy({ filterEnabled: percent(0) });
  assert.equal(statusOf(filter, { origin: "http://b.com", filterConfigs: off }), undefined);
  assert.equal(counted()["http.in.csrf.request_invalid"], 0);
  const shadow = policy({ filterEnabled: percent(0), shadowEnabled: percent(100) });
  assert.equal(statusOf(filter, { origin: "http://b.com", filterConfigs: shadow }), undefined);
  assert.equal(counted()["http.in.csrf.request_invalid"], 1);
});

test("a fraction of the requests is judged", () => {
  let drawn = 0.3;
  const { filter } = filterOf(
    { filterEnabled: { defaultValue: { numerator: 4000, denominator: "TEN_THOUSAND" } } },
    () => drawn,
  );
  assert.equal(statusOf(filter, {}), 403);
  drawn = 0.4;
  assert.equal(statusOf(filter, {}), undefined);
});

test("a policy that does not state its fraction of requests is refused", () => {
  assert.throws(() => compile({}), /filterEnabled must be set/);
  assert.throws(() => compile({ filterEnabled: {} }), /filterEnabled: defaultValue must be set/);
  assert.throws(() => compile({ ...on, shadowEnabled: {} }), /shadowEnabled: defaultValue must be set/);
});
