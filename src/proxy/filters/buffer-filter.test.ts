import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { until } from "../../base/testing/index.ts";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyRegistry, HttpConnectionManagerSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileFilterOverrides, noOverrides } from "../config/filters/filter-overrides-config.ts";
import { compileHttpFilters } from "../config/filters/http-filter-config.ts";
import { neverAborted, testRequest } from "../testing/filter-request.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

const type = "type.googleapis.com/envoy.extensions.filters.http";
const notes = new ConfigNotes((note) => assert.fail(note));
const registry = envoyRegistry();
const name = "envoy.filters.http.buffer";

const buffer = (maxRequestBytes?: number): JsonObject => ({
  name,
  typedConfig: { "@type": `${type}.buffer.v3.Buffer`, ...(maxRequestBytes === undefined ? {} : { maxRequestBytes }) },
});

function compile(...httpFilters: JsonObject[]) {
  const message = fromJson(HttpConnectionManagerSchema, { httpFilters }, { registry });
  return compileHttpFilters(message.httpFilters, "", "test", notes).filters;
}

const overrides = (config: JsonObject) =>
  compileFilterOverrides(
    { [name]: fromJson(AnySchema, { "@type": `${type}.buffer.v3.BufferPerRoute`, ...config }, { registry }) },
    noOverrides,
    "test",
    notes,
  ).configs;

async function serve(...filters: JsonObject[]) {
  const harness = await Harness.start({ filters: compile(...filters), filtersIdle: false });
  const begun: IncomingMessage["headers"][] = [];
  const requests: { headers: IncomingMessage["headers"]; body: Buffer }[] = [];
  const backend = await harness.backend((request, answer) => {
    begun.push(request.headers);
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      requests.push({ headers: request.headers, body: Buffer.concat(parts) });
      answer.end("ok");
    });
  });
  harness.cluster("a", [backend.port]);
  harness.table = tableOf(route(forwardTo("a")));
  return { harness, begun, requests, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
}

test("a request goes upstream when its whole body has arrived, with its length", async () => {
  await using proxy = await serve(buffer(100));
  const client = proxy.harness.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(proxy.begun.length, 0);
  client.send("2\r\nde\r\n0\r\n\r\n");
  await until(() => proxy.requests.length === 1);
  const [{ headers, body } = assert.fail()] = proxy.requests;
  assert.deepEqual(
    [headers["content-length"], headers["transfer-encoding"], body.toString()],
    ["5", undefined, "abcde"],
  );
});

test("a body at the limit passes, and a larger one is refused with 413, by its length or by its bytes", async () => {
  await using proxy = await serve(buffer(10));
  const post = (size: number, headers: Record<string, string>) =>
    proxy.harness.get("/", { method: "POST", body: "x".repeat(size), headers });
  for (const framing of [{ "transfer-encoding": "chunked" }, undefined]) {
    const framingOf = (size: number) => framing ?? { "content-length": String(size) };
    assert.equal((await post(10, framingOf(10))).status, 200);
    const refused = await post(11, framingOf(11));
    assert.deepEqual([refused.status, refused.body], [413, "Payload Too Large"]);
  }
  assert.equal(proxy.begun.length, 2);
  assert.equal(proxy.harness.records.at(-1)?.details, "request_payload_too_large");
  assert.equal((await proxy.harness.get("/")).status, 200);
});

test("a route may have another limit, or none", async () => {
  await using proxy = await serve(buffer(1));
  const post = (config: JsonObject) => {
    proxy.harness.table = tableOf(route(forwardTo("a"), { filterConfigs: overrides(config) }));
    return proxy.harness.get("/", { method: "POST", body: "abc", headers: { "transfer-encoding": "chunked" } });
  };
  assert.equal((await post({ buffer: { maxRequestBytes: 2 } })).status, 413);
  assert.equal((await post({ buffer: { maxRequestBytes: 3 } })).status, 200);
  assert.equal(proxy.requests.at(-1)?.headers["content-length"], "3");
  assert.equal((await post({ disabled: true })).status, 200);
  assert.equal(proxy.requests.at(-1)?.headers["transfer-encoding"], "chunked");
});

test("a body with trailers keeps its chunks, which HTTP/1.1 needs for them", async () => {
  const [filter = assert.fail()] = compile(buffer(100));
  const replaced: string[] = [];
  const request = {
    ...testRequest("/", { method: "POST", body: Buffer.from("abc") }),
    replaceBody: (bytes: Buffer) => void replaced.push(bytes.toString()),
  };
  assert.equal(await filter.onRequest({ ...request, trailers: ["x-sum", "1"] }, neverAborted), undefined);
  assert.deepEqual(replaced, []);
  assert.equal(await filter.onRequest(request, neverAborted), undefined);
  assert.deepEqual(replaced, ["abc"]);
});

test("a buffered body may still change its length by compression, or as gRPC-Web text", async () => {
  const library = {
    name: "gzip",
    typedConfig: { "@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip" },
  };
  const compressor = {
    "@type": `${type}.compressor.v3.Compressor`,
    compressorLibrary: library,
    requestDirectionConfig: {},
  };
  await using proxy = await serve({ name: "compressor", typedConfig: compressor }, buffer(1000));
  const text = "compressed after it was held, ".repeat(10);
  const compressed = await proxy.harness.get("/", { method: "POST", body: text });
  assert.equal(compressed.status, 200);
  assert.equal(gunzipSync(proxy.requests[0]?.body ?? "").toString(), text);
  await using web = await serve({ name: "web", typedConfig: { "@type": `${type}.grpc_web.v3.GrpcWeb` } }, buffer(1000));
  const answer = await web.harness.get("/", {
    method: "POST",
    body: Buffer.from("\0\0\0\0\x03abc", "latin1").toString("base64"),
    headers: { "content-type": "application/grpc-web-text" },
  });
  assert.equal(answer.status, 200);
  assert.equal(web.requests[0]?.body.toString("latin1"), "\0\0\0\0\x03abc");
});

test("the error for an unsupported setting names its field", () => {
  assert.throws(() => compile(buffer()), /maxRequestBytes must be greater than 0/);
  assert.throws(() => overrides({}), /disabled or buffer must be set/);
  assert.throws(() => overrides({ disabled: false }), /disabled must be true/);
  assert.throws(() => overrides({ buffer: {} }), /buffer: maxRequestBytes must be greater than 0/);
});
