// Which bodies are decompressed, and with which header fields they are sent on.
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { JsonObject } from "@bufbuild/protobuf";
import type { LaneConfig } from "./configuration.ts";
import { data, headers } from "./http2-client.ts";
import { raw, type JudgedCase, type Suite } from "./judged-case.ts";

const type = "type.googleapis.com/envoy.extensions";

function decompressor(kind: "Gzip" | "Brotli" | "Zstd", more: JsonObject = {}): JsonObject {
  const folder = kind.toLowerCase();
  return {
    name: `decompressor ${folder}`,
    typedConfig: {
      "@type": `${type}.filters.http.decompressor.v3.Decompressor`,
      decompressorLibrary: {
        name: folder,
        typedConfig: { "@type": `${type}.compression.${folder}.decompressor.v3.${kind}` },
      },
      ...more,
    },
  };
}

const ignoring = { commonConfig: { ignoreNoTransformHeader: true } };
const off = { commonConfig: { enabled: { defaultValue: false, runtimeKey: "none" } } };
const chains: Readonly<Record<string, readonly JsonObject[]>> = {
  gunzip: [decompressor("Gzip")],
  unbrotli: [decompressor("Brotli")],
  unzstd: [decompressor("Zstd")],
  several: [decompressor("Brotli"), decompressor("Gzip")],
  quiet: [decompressor("Gzip", { requestDirectionConfig: { advertiseAcceptEncoding: false } })],
  ignoring: [decompressor("Gzip", { requestDirectionConfig: ignoring, responseDirectionConfig: ignoring })],
  unpackedResponses: [decompressor("Gzip", { requestDirectionConfig: off })],
  unpackedRequests: [decompressor("Gzip", { responseDirectionConfig: off })],
};
const lanes: readonly LaneConfig[] = Object.entries(chains).map(([name, filters]) => ({
  name,
  direction: "gateway",
  filters,
}));

const text = "to be decompressed, ".repeat(5);
const bodies: Readonly<Record<string, Buffer>> = {
  gzip: gzipSync(text),
  br: brotliCompressSync(text),
  zstd: zstdCompressSync(text),
  plain: raw(text),
};
const accepted = [undefined, "", "gzip", "br", "br, gzip", "gzip;q=0, br;q=0.5", "*", "identity", "GZIP , x", ",,"];
const codings = ["gzip", "GZIP", "br", "zstd", "identity", "gzip, identity", "gzip,br", "br, gzip", "x-gzip"];
const controls = ["", "no-transform", "public, No-Transform", "no-transformer", "max-age=0"];

/** Bodies that a decoder refuses, with the coding that the header names. */
const broken: readonly (readonly [coding: string, body: Buffer])[] = [
  ["gzip", raw("no gzip")],
  ["gzip", bodies["gzip"]?.subarray(0, -12) ?? raw("")],
  ["gzip", gzipSync("a".repeat(200_000))],
  ["br", raw("no brotli")],
  ["zstd", raw("no zstd")],
];

/** A body in the first coding of the list. */
function bodyOf(coding: string): Buffer {
  const [first = ""] = coding
    .trim()
    .toLowerCase()
    .split(/\s*,\s*/);
  return bodies[first] ?? raw(text);
}

function message(start: string, coding: string, control: string, chunked: boolean, body = bodyOf(coding)): Buffer {
  const fields = `Content-Encoding: ${coding}\r\n${control === "" ? "" : `Cache-Control: ${control}\r\n`}`;
  return chunked
    ? Buffer.concat([
        raw(`${start}${fields}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`),
        body,
        raw("\r\n0\r\n\r\n"),
      ])
    : Buffer.concat([raw(`${start}${fields}Content-Length: ${body.length}\r\n\r\n`), body]);
}

function requestCase(lane: string, coding: string, control: string, chunked: boolean): JudgedCase {
  return {
    title: `POST of ${coding} ${control} ${chunked ? "in chunks" : ""}`,
    lane,
    send: { protocol: "http1", bytes: message("POST /a HTTP/1.1\r\nHost: a.test\r\n", coding, control, chunked) },
  };
}

function responseCase(lane: string, coding: string, control: string, chunked: boolean): JudgedCase {
  return {
    title: `answer of ${coding} ${control} ${chunked ? "in chunks" : ""}`,
    lane,
    upstreamAnswer: {
      bytes: message('HTTP/1.1 200 OK\r\nETag: "a"\r\nVary: x\r\n', coding, control, chunked),
      closes: true,
    },
    comparesAnswer: true,
    send: { protocol: "http1", bytes: raw("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n") },
  };
}

function brokenCases(lane: string): readonly JudgedCase[] {
  return broken.flatMap(([coding, body], index) => {
    const request = message("POST /a HTTP/1.1\r\nHost: a.test\r\n", coding, "", false, body);
    const answer = message("HTTP/1.1 200 OK\r\n", coding, "", false, body);
    return [
      { title: `POST of a broken body ${index}`, lane, send: { protocol: "http1", bytes: request } },
      {
        title: `answer with a broken body ${index}`,
        lane,
        upstreamAnswer: { bytes: answer, closes: true },
        comparesAnswer: true,
        send: { protocol: "http1", bytes: raw("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n") },
      },
    ];
  });
}

function acceptCase(lane: string, accept: string | undefined): JudgedCase {
  const field = accept === undefined ? "" : `Accept-Encoding: ${accept}\r\n`;
  const bytes = raw(`GET /a HTTP/1.1\r\nHost: a.test\r\n${field}\r\n`);
  return { title: `GET that accepts ${accept ?? "(none)"}`, lane, send: { protocol: "http1", bytes } };
}

const frames = Buffer.concat([
  headers(
    1,
    [
      [":method", "POST"],
      [":scheme", "http"],
      [":authority", "a.test"],
      [":path", "/a"],
      ["content-encoding", "gzip"],
    ],
    false,
  ),
  data(1, bodyOf("gzip").toString("latin1")),
]);

export function decompressorSuite(): Suite {
  const cases = Object.keys(chains).flatMap((lane) => [
    ...accepted.map((accept) => acceptCase(lane, accept)),
    ...[requestCase, responseCase].flatMap((make) => [
      ...codings.map((coding) => make(lane, coding, "", false)),
      ...controls.map((control) => make(lane, "gzip", control, true)),
    ]),
    ...brokenCases(lane),
    {
      title: "POST over HTTP/2",
      lane,
      send: { protocol: "http2" as const, frames },
    },
  ]);
  return { name: "decompressor", least: 300, lanes, copies: 2, cases };
}
