import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { test } from "node:test";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { DecompressorSchema, envoyRegistry } from "../../../wire/envoy/index.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileDecompressor } from "../../config/filters/decompressor-config.ts";
import { FilterStatistics } from "../../terms/filter-statistics.ts";
import { forwardTo, Harness, route, tableOf } from "../../testing/harness.ts";
import { DecompressorFilter } from "./decompressor-filter.ts";
import type { HttpFilter } from "../http-filter.ts";

const notes = new ConfigNotes((note) => assert.fail(note));
const type = "type.googleapis.com/envoy.extensions";
const registry = envoyRegistry();

function library(kind: "Gzip" | "Brotli" | "Zstd", more: JsonObject = {}): JsonObject {
  const folder = kind.toLowerCase();
  return { name: "lib", typedConfig: { "@type": `${type}.compression.${folder}.decompressor.v3.${kind}`, ...more } };
}

const compile = (config: JsonObject) =>
  compileDecompressor(
    fromJson(DecompressorSchema, { decompressorLibrary: library("Gzip"), ...config }, { registry }),
    "test",
    notes,
  );

function filterOf(config: JsonObject, statistics = new FilterStatistics()): DecompressorFilter {
  return new DecompressorFilter("envoy.filters.http.decompressor", compile(config), statistics, "http.in.");
}

interface Upstream {
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

async function serve(filters: readonly HttpFilter[], upstream: Upstream = {}) {
  const harness = await Harness.start({ filters, filtersIdle: false });
  const seen: { headers: IncomingMessage["headers"]; body: string }[] = [];
  const backend = await harness.backend((request, answer) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      seen.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
      answer.writeHead(200, { "content-type": "text/plain", ...upstream.headers });
      answer.end(upstream.body ?? "plain");
    });
  });
  harness.cluster("a", [backend.port]);
  harness.table = tableOf(route(forwardTo("a")));
  return { harness, seen, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
}

type Proxy = Awaited<ReturnType<typeof serve>>;

async function ask({ harness }: Proxy, headers: OutgoingHttpHeaders = {}, body?: Buffer | string) {
  const method = body === undefined ? "GET" : "POST";
  const request = httpRequest({ port: harness.port, method, agent: false, headers });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString() };
}

const text = "to be decompressed, ".repeat(20);

test("bodies of requests and responses are decompressed from gzip, brotli or zstd, and upstreams learn the coding", async () => {
  for (const [kind, coding, compress] of [
    ["Gzip", "gzip", gzipSync],
    ["Brotli", "br", brotliCompressSync],
    ["Zstd", "zstd", zstdCompressSync],
  ] as const) {
    const statistics = new FilterStatistics();
    const packed = compress(text);
    const upstream = { headers: { "content-encoding": coding, etag: '"x"', vary: "foo" }, body: packed };
    await using proxy = await serve([filterOf({ decompressorLibrary: library(kind) }, statistics)], upstream);
    const answer = await ask(
      proxy,
      { "content-encoding": coding.toUpperCase(), "content-length": packed.length },
      packed,
    );
    const [request] = proxy.seen;
    assert.equal(request?.body, text);
    const sent = request?.headers;
    assert.deepEqual(
      [sent?.["content-encoding"], sent?.["content-length"], sent?.["accept-encoding"]],
      [undefined, undefined, coding],
    );
    assert.equal(answer.body, text);
    const { headers } = answer;
    assert.deepEqual(
      [headers["content-encoding"], headers["content-length"], headers.etag, headers.vary],
      [undefined, undefined, '"x"', "foo"],
    );
    const prefix = `http.in.decompressor.lib.${kind.toLowerCase()}.`;
    for (const direction of ["request", "response"])
      assert.deepEqual(
        ["decompressed", "not_decompressed", "total_compressed_bytes", "total_uncompressed_bytes"].map(
          (name) => statistics.counter(`${prefix}${direction}.${name}`).value,
        ),
        [1, 0, packed.length, text.length],
        direction,
      );
  }
});

test("the first coding of the list is decoded and the others stay; no-transform is respected unless the filter ignores it", async () => {
  // Envoy 1.40 sends the same to the upstream in each case.
  await using proxy = await serve([filterOf({})]);
  const packed = gzipSync(text);
  for (const [fields, coding, plain] of [
    [{ "content-encoding": "gzip, identity" }, "identity", true],
    [{ "content-encoding": "br, gzip" }, "br, gzip", false],
    [{ "content-encoding": "gzip", "cache-control": "No-Transform" }, "gzip", false],
    [{ "content-encoding": "deflate" }, "deflate", false],
  ] as const) {
    await ask(proxy, fields, packed);
    const { headers, body } = proxy.seen.at(-1) ?? assert.fail();
    assert.deepEqual([headers["content-encoding"], body === text], [coding, plain]);
  }
  const common = { ignoreNoTransformHeader: true };
  await using told = await serve(
    [filterOf({ responseDirectionConfig: { commonConfig: common }, requestDirectionConfig: { commonConfig: common } })],
    { headers: { "content-encoding": "gzip, br", "cache-control": "no-transform" }, body: packed },
  );
  const answer = await ask(told, { "content-encoding": "gzip", "cache-control": "no-transform" }, packed);
  assert.deepEqual([told.seen[0]?.body, answer.body, answer.headers["content-encoding"]], [text, text, "br"]);
});

test("accept-encoding ends with the coding, unless nothing is advertised or responses stay as they are", async () => {
  await using proxy = await serve([filterOf({})]);
  for (const [accepted, sent] of [
    ["br", "br,gzip"],
    ["br, gzip", "br,gzip"],
    ["gzip;q=0, br;q=0.5", "br;q=0.5,gzip"],
    ["*", "*,gzip"],
    ["GZIP", "GZIP,gzip"],
    [["a", "b"], "a,b,gzip"],
  ] as const) {
    await ask(proxy, { "accept-encoding": accepted as string | string[] });
    assert.equal(proxy.seen.at(-1)?.headers["accept-encoding"], sent);
  }
  const off = { enabled: { defaultValue: false, runtimeKey: "none" } };
  for (const config of [
    { requestDirectionConfig: { advertiseAcceptEncoding: false } },
    { responseDirectionConfig: { commonConfig: off } },
  ]) {
    await using silent = await serve([filterOf(config)]);
    await ask(silent);
    assert.equal(silent.seen[0]?.headers["accept-encoding"], undefined);
  }
  await using deaf = await serve([filterOf({ requestDirectionConfig: { commonConfig: off } })]);
  const packed = gzipSync(text);
  await ask(deaf, { "content-encoding": "gzip", "content-length": packed.length }, packed);
  assert.equal(deaf.seen[0]?.headers["content-length"], String(packed.length));
});

test("a request whose body is no valid one, ends too early or grows too much is refused, and an empty one passes", async () => {
  await using proxy = await serve([filterOf({ decompressorLibrary: library("Gzip", { maxInflateRatio: 10 }) })]);
  const gzip = { "content-encoding": "gzip" };
  for (const bad of [Buffer.from("not gzip"), gzipSync(text).subarray(0, -12), gzipSync("a".repeat(100_000))]) {
    const { status, body } = await ask(proxy, gzip, bad);
    assert.deepEqual([status, body], [400, "the body cannot be decompressed"]);
    assert.equal(proxy.harness.records.at(-1)?.details, "decompression_failed");
  }
  assert.equal((await ask(proxy, { ...gzip, "transfer-encoding": "chunked" }, "")).status, 200);
  const both = Buffer.concat([gzipSync("first "), gzipSync("second")]);
  assert.equal((await ask(proxy, gzip, both)).status, 200);
  assert.equal(proxy.seen.at(-1)?.body, "first second");
});

test("a response whose body cannot be decompressed ends before its end, so that it does not look whole", async () => {
  for (const body of [Buffer.from("not gzip"), gzipSync(text).subarray(0, -12)]) {
    await using proxy = await serve([filterOf({})], { headers: { "content-encoding": "gzip" }, body });
    await assert.rejects(ask(proxy));
  }
});

test("unsupported fields and libraries are refused, and the error names them", () => {
  const with_ = (decompressorLibrary: JsonObject) => () => compile({ decompressorLibrary });
  assert.throws(with_(library("Gzip", { windowBits: 8 })), /windowBits must be from 9 to 15, got 8/);
  assert.throws(with_(library("Gzip", { maxInflateRatio: 2000 })), /maxInflateRatio must be from 1 to 1032/);
  assert.throws(with_(library("Brotli", { chunkSize: 1 })), /chunkSize must be from 4096 to 65536, got 1/);
  assert.throws(
    with_(library("Zstd", { dictionaries: [{ filename: "d" }] })),
    /the field dictionaries is not supported/,
  );
  assert.throws(
    with_({ name: "x", typedConfig: { "@type": `${type}.filters.http.buffer.v3.Buffer` } }),
    /the library .*Buffer/,
  );
});
