import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { test } from "node:test";
import { brotliDecompressSync, constants, createGunzip, gunzipSync, zstdDecompressSync } from "node:zlib";
import { until } from "../../../base/testing/index.ts";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { CompressorSchema, envoyRegistry, HttpConnectionManagerSchema } from "../../../wire/envoy/index.ts";
import { compileCompressor } from "../../config/filters/compressor-config.ts";
import { ConfigNotes } from "../../config/config-check.ts";
import { compileFilterOverrides, noOverrides } from "../../config/filters/filter-overrides-config.ts";
import { compileHttpFilters } from "../../config/filters/http-filter-config.ts";
import { FilterStatistics } from "../../terms/filter-statistics.ts";
import { forwardTo, Harness, route, tableOf } from "../../testing/harness.ts";
import { TransformedBody } from "./transformed-body.ts";
import { CompressorFilter } from "./compressor-filter.ts";
import type { HttpFilter } from "../http-filter.ts";

const name = "envoy.filters.http.compressor";
const notes = new ConfigNotes((note) => assert.fail(note));
const type = "type.googleapis.com/envoy.extensions";
const registry = envoyRegistry();

function library(kind: "Gzip" | "Brotli" | "Zstd", more: JsonObject = {}): JsonObject {
  const folder = kind.toLowerCase();
  return { name: folder, typedConfig: { "@type": `${type}.compression.${folder}.compressor.v3.${kind}`, ...more } };
}

const compile = (config: JsonObject) =>
  compileCompressor(
    fromJson(CompressorSchema, { compressorLibrary: library("Gzip"), ...config }, { registry }),
    "test",
    notes,
  );

function filterOf(config: JsonObject, statistics = new FilterStatistics(), filterName = name): CompressorFilter {
  return new CompressorFilter(filterName, compile(config), statistics, "http.in.");
}

function counted(statistics: FilterStatistics): Record<string, number> {
  return Object.fromEntries(
    [...statistics.entries()]
      .filter(([, { value }]) => value > 0)
      .map(([counter, { value }]) => [counter.replace(/^http\.in\.compressor\./, ""), value]),
  );
}

const overrides = (config: JsonObject) =>
  compileFilterOverrides(
    {
      [name]: fromJson(
        AnySchema,
        { "@type": `${type}.filters.http.compressor.v3.CompressorPerRoute`, ...config },
        { registry },
      ),
    },
    noOverrides,
    "test",
    notes,
  ).configs;

interface Upstream {
  readonly status?: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

async function serve(filters: readonly HttpFilter[], upstream: Upstream = {}) {
  const harness = await Harness.start({ filters, filtersIdle: false });
  const requests: { headers: IncomingMessage["headers"]; body: Buffer }[] = [];
  const backend = await harness.backend((request, answer) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      requests.push({ headers: request.headers, body: Buffer.concat(parts) });
      const body = upstream.body ?? text;
      answer.writeHead(upstream.status ?? 200, {
        "content-type": "text/plain",
        "content-length": Buffer.byteLength(body),
        ...upstream.headers,
      });
      answer.end(body);
    });
  });
  harness.cluster("a", [backend.port]);
  harness.table = tableOf(route(forwardTo("a")));
  return { harness, requests, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
}

const text = "to be compressed, ".repeat(20);

interface RequestOptions {
  readonly path?: string;
  readonly method?: string;
  readonly accept?: string | undefined;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

async function get({ harness }: { harness: Harness }, options: RequestOptions = {}) {
  const { path = "/", method = "GET", accept = "gzip", headers, body } = options;
  const request = httpRequest({
    port: harness.port,
    path,
    method,
    agent: false,
    headers: { ...("accept" in options && accept === "" ? {} : { "accept-encoding": accept }), ...headers },
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return {
    status: response.statusCode,
    headers: response.headers,
    body: Buffer.concat(parts),
    trailers: response.trailers,
  };
}

test("a response is compressed with gzip, brotli or zstd for a client that accepts it", async () => {
  for (const [kind, accept, decompress] of [
    ["Gzip", "gzip", gunzipSync],
    ["Brotli", "br", brotliDecompressSync],
    ["Zstd", "zstd", zstdDecompressSync],
  ] as const) {
    const statistics = new FilterStatistics();
    await using proxy = await serve([filterOf({ compressorLibrary: library(kind) }, statistics)]);
    const answer = await get(proxy, { accept });
    assert.equal(decompress(answer.body).toString(), text);
    assert.ok(answer.body.length < text.length / 2);
    const { "content-encoding": coding, "content-length": length, vary } = answer.headers;
    assert.deepEqual([coding, length, vary], [accept, undefined, "Accept-Encoding"]);
    assert.equal(proxy.requests[0]?.headers["accept-encoding"], accept);
    const prefix = `${kind.toLowerCase()}.${kind.toLowerCase()}.`;
    assert.deepEqual(counted(statistics), {
      [`${prefix}request.not_compressed`]: 1,
      [`${prefix}compressed`]: 1,
      [`${prefix}header_compressor_used`]: 1,
      [`${prefix}total_uncompressed_bytes`]: text.length,
      [`${prefix}total_compressed_bytes`]: answer.body.length,
    });
    const plain = await get(proxy, { accept: "" });
    assert.deepEqual(
      [plain.body.toString(), plain.headers["content-encoding"], plain.headers.vary],
      [text, undefined, "Accept-Encoding"],
    );
    assert.equal(counted(statistics)[`${prefix}no_accept_header`], 1);
  }
});

test("a response that is short, of another type, encoded already or not to be transformed stays as it is", async () => {
  const filter = filterOf({ disableOnEtagHeader: true });
  const isCompressed = async (
    upstream: Upstream,
    options: RequestOptions = {},
  ): Promise<[boolean, string | undefined]> => {
    await using proxy = await serve([filter], upstream);
    const { headers } = await get(proxy, options);
    return [headers["content-encoding"] === "gzip", headers.vary];
  };
  const never: readonly Upstream[] = [
    { body: "x".repeat(29) },
    { headers: { "content-type": "image/png" } },
    { headers: { "content-type": "text/event-stream" } },
    { headers: { "content-encoding": "identity" } },
    { headers: { "cache-control": "public, No-Transform" } },
    { headers: { etag: '"a"' } },
  ];
  for (const upstream of never)
    assert.deepEqual(await isCompressed(upstream), [false, undefined], JSON.stringify(upstream));
  assert.deepEqual(await isCompressed({ body: "x".repeat(30) }), [true, "Accept-Encoding"]);
  assert.deepEqual(await isCompressed({ headers: { "content-type": "TEXT/HTML; charset=utf-8" } }), [
    true,
    "Accept-Encoding",
  ]);
  assert.deepEqual(await isCompressed({ headers: { vary: "origin" } }), [true, "origin, Accept-Encoding"]);
  assert.deepEqual(await isCompressed({ headers: { vary: "accept-encoding" } }), [true, "accept-encoding"]);
  assert.deepEqual(await isCompressed({ status: 206 }), [true, "Accept-Encoding"]);
  assert.deepEqual(await isCompressed({}, { method: "HEAD" }), [false, "Accept-Encoding"]);
  assert.deepEqual(await isCompressed({}, { accept: "gzip;q=0, *" }), [false, "Accept-Encoding"]);
  const { response } = compile({ contentType: ["application/grpc"], contentLength: 1 });
  assert.ok(response.takesType("application/grpc"));
  await using grpc = await serve([filterOf({ contentType: ["application/grpc"] })], {
    headers: { "content-type": "application/grpc" },
  });
  assert.equal((await get(grpc)).headers["content-encoding"], undefined);
});

test("a strong validator leaves a compressed response, or becomes weak; a weak one stays", async () => {
  const etagOf = async (config: JsonObject, etag: string): Promise<string | undefined> => {
    await using proxy = await serve([filterOf(config)], { headers: { etag } });
    const { headers } = await get(proxy);
    assert.equal(headers["content-encoding"], "gzip");
    return headers.etag;
  };
  assert.equal(await etagOf({}, '"a"'), undefined);
  assert.equal(await etagOf({}, 'W/"a"'), 'W/"a"');
  const weaken = { responseDirectionConfig: { weakenEtagOnCompress: true, disableOnEtagHeader: true } };
  assert.equal(await etagOf(weaken, '"a"'), 'W/"a"');
  assert.equal(await etagOf(weaken, 'w/"a"'), 'w/"a"');
});

test("a header tells whether the response was compressed, or why not", async () => {
  const statistics = new FilterStatistics();
  const config = {
    responseDirectionConfig: {
      statusHeaderEnabled: true,
      disableOnEtagHeader: true,
      uncompressibleResponseCodes: [404],
      commonConfig: { minContentLength: 50, contentTypeMatcher: [{ prefix: "text/" }] },
    },
  };
  const status = async (upstream: Upstream, options?: RequestOptions): Promise<unknown> => {
    await using proxy = await serve([filterOf(config, statistics)], upstream);
    return (await get(proxy, options)).headers["x-envoy-compression-status"];
  };
  assert.equal(await status({}), `gzip;Compressed;OriginalLength=${text.length}`);
  assert.equal(await status({ body: "x".repeat(49) }), "gzip;ContentLengthTooSmall");
  assert.equal(await status({ headers: { "content-type": "image/png", etag: '"a"' } }), "gzip;ContentTypeNotAllowed");
  assert.equal(await status({ status: 404, headers: { etag: '"a"' } }), "gzip;EtagNotAllowed");
  assert.equal(await status({ status: 404 }), "gzip;StatusCodeNotAllowed");
  assert.equal(await status({}, { accept: "br" }), undefined);
  assert.equal(await status({}, { method: "HEAD" }), undefined);
  const shown = counted(statistics);
  assert.deepEqual(
    [shown["gzip.gzip.response.compressed"], shown["gzip.gzip.response.content_length_too_small"]],
    [1, 1],
  );
  assert.equal(shown["gzip.gzip.not_compressed_etag"], 1);
});

test("the compressor that the client prefers works, and the listener's others are overshadowed", async () => {
  const statistics = new FilterStatistics();
  const gzip = filterOf({}, statistics);
  const brotli = filterOf({ compressorLibrary: library("Brotli") }, statistics, "second");
  await using proxy = await serve([gzip, brotli]);
  for (const [accept, coding] of [
    ["gzip, br", "gzip"],
    ["br, gzip", "br"],
    ["gzip;q=0.5, br", "br"],
    ["*", "gzip"],
    ["identity", undefined],
  ] as const)
    assert.equal((await get(proxy, { accept })).headers["content-encoding"], coding, accept);
  const { "gzip.gzip.header_compressor_overshadowed": gzips, "brotli.brotli.header_compressor_overshadowed": brotlis } =
    counted(statistics);
  assert.deepEqual([gzips, brotlis], [2, 1]);
});

test("if configured, the proxy removes the client's accept-encoding for the upstream, and still chooses the coding by it", async () => {
  await using proxy = await serve([filterOf({ removeAcceptEncodingHeader: true })]);
  const answer = await get(proxy);
  assert.deepEqual(
    [answer.headers["content-encoding"], proxy.requests[0]?.headers["accept-encoding"]],
    ["gzip", undefined],
  );
});

test("a route switches compression off or on, and may use another library", async () => {
  const off = filterOf({ runtimeEnabled: { defaultValue: false, runtimeKey: "x" } });
  assert.ok(off.idle);
  await using proxy = await serve([filterOf({})]);
  const { harness } = proxy;
  const own = (config: JsonObject) => route(forwardTo("a"), { filterConfigs: overrides(config) });
  harness.table = tableOf(own({ disabled: true }));
  const plain = await get(proxy);
  assert.deepEqual([plain.headers["content-encoding"], plain.headers.vary], [undefined, undefined]);
  harness.table = tableOf(own({ overrides: { compressorLibrary: library("Brotli") } }));
  assert.equal((await get(proxy, { accept: "gzip" })).headers["content-encoding"], undefined);
  assert.equal((await get(proxy, { accept: "br, gzip" })).headers["content-encoding"], "br");
  await using second = await serve([off]);
  assert.equal((await get(second)).headers["content-encoding"], undefined);
  const on = { overrides: { responseDirectionConfig: { removeAcceptEncodingHeader: true } } };
  second.harness.table = tableOf(own(on));
  assert.equal((await get(second)).headers["content-encoding"], "gzip");
  assert.equal(second.requests.at(-1)?.headers["accept-encoding"], undefined);
});

test("a reply of the proxy itself is compressed too, and a HEAD request for it gets none", async () => {
  await using harness = await Harness.start({ filters: [filterOf({})], filtersIdle: false });
  harness.table = tableOf(route({ kind: "direct-response", status: 200, body: Buffer.from(text) }));
  const answer = await get({ harness });
  assert.equal(gunzipSync(answer.body).toString(), text);
  assert.equal(answer.headers["content-length"], String(answer.body.length));
  const head = await get({ harness }, { method: "HEAD" });
  assert.deepEqual([head.headers["content-encoding"], head.body.length], [undefined, 0]);
});

test("a request's body is compressed with or without a length, if the filter is configured for requests", async () => {
  const statistics = new FilterStatistics();
  await using proxy = await serve([filterOf({ requestDirectionConfig: {} }, statistics)]);
  const post = (headers: OutgoingHttpHeaders, body = text): Promise<unknown> =>
    get(proxy, { method: "POST", headers: { "content-type": "text/plain", ...headers }, body });
  for (const framing of [{ "content-length": text.length }, { "transfer-encoding": "chunked" }]) {
    await post(framing);
    const { headers, body } = proxy.requests.at(-1) ?? assert.fail();
    assert.deepEqual([headers["content-encoding"], headers["content-length"]], ["gzip", undefined]);
    assert.equal(gunzipSync(body).toString(), text);
  }
  for (const headers of [
    { "content-encoding": "br" },
    { "content-type": "image/png" },
    { "content-type": "application/grpc-web" },
  ]) {
    await post({ "content-length": text.length, ...headers });
    assert.equal(proxy.requests.at(-1)?.body.toString(), text, JSON.stringify(headers));
  }
  await post({ "content-length": 5 }, "short");
  assert.equal(proxy.requests.at(-1)?.body.toString(), "short");
  const shown = counted(statistics);
  assert.equal(shown["gzip.gzip.request.compressed"], 2);
  assert.equal(shown["gzip.gzip.request.not_compressed"], 4);
  assert.equal(shown["gzip.gzip.request.content_length_too_small"], 1);
});

test("each part of a streamed response reaches the client before the next one is sent", async () => {
  for (const [kind, accept] of [
    ["Gzip", "gzip"],
    ["Brotli", "br"],
    ["Zstd", "zstd"],
  ] as const) {
    const config = { contentType: ["text/event-stream"], compressorLibrary: library(kind) };
    await using harness = await Harness.start({ filters: [filterOf(config)], filtersIdle: false });
    let next: (() => void) | undefined;
    const backend = await harness.backend((_, answer) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      let sent = 0;
      next = () => (sent < 3 ? answer.write(`data: ${(sent += 1)}\n\n`) : answer.end());
      next();
    });
    harness.cluster("a", [backend.port]);
    harness.table = tableOf(route(forwardTo("a")));
    const request = httpRequest({ port: harness.port, agent: false, headers: { "accept-encoding": accept } }).end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const received: Buffer[] = [];
    for await (const part of response) {
      received.push(part as Buffer);
      const read = decompressed(accept, Buffer.concat(received));
      const events = read.match(/data: \d\n\n/g)?.length ?? 0;
      assert.ok(events > 0, `${kind}: ${JSON.stringify(read)}`);
      next?.();
    }
    assert.equal(decompressed(accept, Buffer.concat(received)), "data: 1\n\ndata: 2\n\ndata: 3\n\n");
  }
});

function decompressed(coding: "gzip" | "br" | "zstd", bytes: Buffer): string {
  if (coding === "gzip") return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
  if (coding === "br") return brotliDecompressSync(bytes, { finishFlush: constants.BROTLI_OPERATION_FLUSH }).toString();
  return zstdDecompressSync(bytes, { finishFlush: constants.ZSTD_e_flush }).toString();
}

test("trailers follow the end of a compressed body", async () => {
  await using harness = await Harness.start({ filters: [filterOf({})], filtersIdle: false, http1Trailers: true });
  const backend = await harness.backend((_, answer) => {
    answer.writeHead(200, { "content-type": "text/plain", trailer: "x-sum" });
    answer.write(text);
    answer.addTrailers({ "x-sum": "1" });
    answer.end();
  });
  harness.cluster("a", [backend.port], {});
  harness.table = tableOf(route(forwardTo("a")));
  const answer = await get({ harness }, { headers: { te: "trailers" } });
  assert.equal(gunzipSync(answer.body).toString(), text);
  assert.deepEqual([answer.headers["content-encoding"], answer.trailers["x-sum"]], ["gzip", "1"]);
});

function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 1;
  for (let at = 0; at < length; at += 1) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    bytes[at] = state >> 16;
  }
  return bytes;
}

test("an upstream waits for a client that does not read, and its compressor ends when the client leaves", async (context) => {
  const close = context.mock.method(TransformedBody.prototype, "close");
  await using harness = await Harness.start({ filters: [filterOf({})], filtersIdle: false });
  let sent = 0;
  let gone = false;
  const part = noise(256 * 1024);
  const backend = await harness.backend((_, answer) => {
    answer.writeHead(200, { "content-type": "text/plain" });
    const more = (): void => {
      while (sent < 400 * part.length) {
        sent += part.length;
        if (!answer.write(part)) return void answer.once("drain", more);
      }
    };
    answer.on("close", () => (gone = true));
    more();
  });
  harness.cluster("a", [backend.port]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
  await client.until(/content-encoding: gzip/);
  client.socket.pause();
  let before = -1;
  await until(async () => {
    const stands = before === sent;
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return stands;
  });
  assert.ok(sent < 200 * part.length, `${sent} bytes`);
  assert.equal(close.mock.callCount(), 0);
  client.socket.destroy();
  await until(() => gone && close.mock.callCount() === 1);
});

test("a large response passes whole, whatever the parts", async () => {
  const body = noise(3_000_000).toString("base64");
  await using proxy = await serve([filterOf({})], { body });
  const { body: compressed } = await get(proxy);
  const unzip = createGunzip();
  unzip.end(compressed);
  const parts: Buffer[] = [];
  for await (const chunk of unzip) parts.push(chunk as Buffer);
  assert.ok(Buffer.concat(parts).toString() === body);
});

test("an upstream that breaks off cuts the compressed response", async () => {
  await using harness = await Harness.start({ filters: [filterOf({})], filtersIdle: false });
  const port = await harness.rawBackend((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n${text}`);
      setTimeout(() => socket.destroy(), 50);
    });
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  await assert.rejects(get({ harness }));
});

test("the filter and its library may come as TypedStructs, as in EnvoyFilters", async () => {
  const struct = (typeUrl: string, value: JsonObject): JsonObject => ({
    "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
    typeUrl,
    value,
  });
  const brotli = struct(`${type}.compression.brotli.compressor.v3.Brotli`, { quality: 5 });
  const typedConfig = struct(`${type}.filters.http.compressor.v3.Compressor`, {
    compressor_library: { name: "text", typed_config: brotli },
  });
  const { httpFilters } = fromJson(HttpConnectionManagerSchema, { httpFilters: [{ name, typedConfig }] }, { registry });
  await using proxy = await serve(compileHttpFilters(httpFilters, "", "test", notes).filters);
  assert.equal((await get(proxy, { accept: "br" })).headers["content-encoding"], "br");
});

test("the error for an unsupported setting names its field", () => {
  const refused = (config: JsonObject, problem: RegExp): void =>
    assert.throws(() => compile(config), problem, String(problem));
  assert.throws(
    () => compileCompressor(fromJson(CompressorSchema, {}), "test", notes),
    /compressorLibrary must be set/,
  );
  refused({ compressorLibrary: { name: "x" } }, /compressorLibrary x: typedConfig must be set/);
  refused(
    { compressorLibrary: { name: "x", typedConfig: { "@type": `${type}.filters.http.router.v3.Router` } } },
    /the library envoy\.extensions\.filters\.http\.router\.v3\.Router is not supported/,
  );
  refused({ compressorLibrary: library("Gzip", { windowBits: 8 }) }, /windowBits must be from 9 to 15, got 8/);
  refused({ compressorLibrary: library("Gzip", { chunkSize: 1 }) }, /chunkSize must be from 4096 to 65536/);
  refused({ compressorLibrary: library("Brotli", { quality: 12 }) }, /quality must be from 0 to 11/);
  refused(
    { compressorLibrary: library("Zstd", { dictionary: { inlineString: "d" } }) },
    /the field dictionary is not supported/,
  );
  refused({ responseDirectionConfig: { uncompressibleResponseCodes: [99] } }, /must be from 200 to 599, got 99/);
  assert.throws(() => overrides({ disabled: false }), /disabled must be true/);
  assert.throws(() => overrides({}), /disabled or overrides must be set/);
});
