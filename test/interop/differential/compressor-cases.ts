// For which requests which responses are compressed, and with which header fields.
import type { JsonObject } from "@bufbuild/protobuf";
import { data, headers } from "./http2-client.ts";
import type { LaneConfig } from "./configuration.ts";
import { raw, type JudgedCase, type Suite } from "./judged-case.ts";

const type = "type.googleapis.com/envoy.extensions";
const filterName = "envoy.filters.http.compressor";

function library(kind: "Gzip" | "Brotli" | "Zstd"): JsonObject {
  const folder = kind.toLowerCase();
  return { name: folder, typedConfig: { "@type": `${type}.compression.${folder}.compressor.v3.${kind}` } };
}

function compressor(kind: "Gzip" | "Brotli" | "Zstd", more: JsonObject = {}, name = filterName): JsonObject {
  const config = {
    "@type": `${type}.filters.http.compressor.v3.Compressor`,
    compressorLibrary: library(kind),
    ...more,
  };
  return { name, typedConfig: config };
}

function routeWith(prefix: string, override: JsonObject): JsonObject {
  const own = { "@type": `${type}.filters.http.compressor.v3.CompressorPerRoute`, ...override };
  return { match: { prefix }, typedPerFilterConfig: { [filterName]: own } };
}

const own = [
  routeWith("/off", { disabled: true }),
  routeWith("/on", { overrides: { responseDirectionConfig: { removeAcceptEncodingHeader: true } } }),
  routeWith("/br", { overrides: { compressorLibrary: library("Brotli") } }),
];
const chains: Readonly<Record<string, readonly JsonObject[]>> = {
  gzip: [compressor("Gzip")],
  brotli: [compressor("Brotli", { removeAcceptEncodingHeader: true, contentLength: 100 })],
  zstd: [compressor("Zstd", { disableOnEtagHeader: true, contentType: ["image/png"] })],
  both: [compressor("Gzip"), compressor("Brotli", {}, "second")],
  preferred: [compressor("Gzip"), compressor("Brotli", { chooseFirst: true }, "second")],
  told: [
    compressor("Gzip", {
      responseDirectionConfig: {
        statusHeaderEnabled: true,
        weakenEtagOnCompress: true,
        uncompressibleResponseCodes: [206],
        commonConfig: { minContentLength: 40, contentTypeMatcher: [{ prefix: "text/" }, { exact: "Odd/Type" }] },
      },
    }),
  ],
  requests: [
    compressor("Gzip", {
      requestDirectionConfig: {},
      responseDirectionConfig: { commonConfig: { enabled: { defaultValue: false, runtimeKey: "none" } } },
    }),
  ],
};
const lanes: readonly LaneConfig[] = Object.entries(chains).map(([name, filters]) => ({
  name,
  direction: "gateway",
  filters,
  routes: own,
}));

const accepted = [
  undefined,
  "",
  "gzip",
  "br",
  "zstd",
  "gzip, br",
  "br, gzip",
  "gzip;q=0.5, br;q=0.7, zstd",
  "gzip;q=0.5, identity",
  "gzip;q=0, *",
  "*",
  "*;q=0",
  "identity;q=0",
  "GZIP",
  "gzip;q=x",
  "gzip; foo=1",
];
const answer = (fields: string, status = "200 OK"): string =>
  `HTTP/1.1 ${status}\r\nContent-Length: 60\r\n${fields}\r\n${"compress ".repeat(7).slice(0, 60)}`;
const answers = [
  "Content-Type: text/plain; charset=utf-8\r\n",
  "Content-Type: TEXT/HTML\r\n",
  "Content-Type: image/png\r\n",
  "Content-Type: Odd/Type\r\n",
  "Content-Type: odd/type\r\n",
  "",
  'Content-Type: text/css\r\nETag: "abc"\r\n',
  'Content-Type: text/css\r\nETag: W/"abc"\r\n',
  "Content-Type: text/css\r\nVary: Origin\r\n",
  "Content-Type: text/css\r\nVary: Accept-Encoding, Origin\r\n",
  "Content-Type: text/css\r\nVary: *\r\n",
  "Content-Type: text/css\r\nCache-Control: public, No-Transform\r\n",
  "Content-Type: text/css\r\nContent-Encoding: identity\r\n",
]
  .map((fields) => answer(fields))
  .concat(
    answer("Content-Type: text/plain\r\n", "206 Partial Content"),
    answer("Content-Type: text/plain\r\n", "404 Not Found"),
    `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n\r\n${"x".repeat(29)}`,
    `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 30\r\n\r\n${"x".repeat(30)}`,
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end of the connection",
    'HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain\r\nETag: "a"\r\n\r\n',
    "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n",
  );

function responseCase(lane: string, accept: string | undefined, text: string, path = "/a"): readonly JudgedCase[] {
  const shared = { lane, upstreamAnswer: { bytes: raw(text), closes: true }, comparesAnswer: true } as const;
  const field = accept === undefined ? "" : `Accept-Encoding: ${accept}\r\n`;
  const request = raw(`GET ${path} HTTP/1.1\r\nHost: a.test\r\n${field}\r\n`);
  const frames = headers(1, [
    [":method", "GET"],
    [":scheme", "http"],
    [":authority", "a.test"],
    [":path", path],
    ...(accept === undefined ? [] : [["accept-encoding", accept] as const]),
  ]);
  const title = `${path} ${accept ?? "(none)"} ${JSON.stringify(text)}`;
  return [
    { ...shared, title: `HTTP/1 ${title}`, send: { protocol: "http1", bytes: request } },
    { ...shared, title: `HTTP/2 ${title}`, send: { protocol: "http2", frames } },
  ];
}

const body = "a body of a request that is compressed";
const typed = "Content-Type: text/plain\r\n";
const requests = [
  `${typed}Content-Length: ${body.length}\r\n\r\n${body}`,
  `${typed}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  `${typed}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  `Content-Length: ${body.length}\r\n\r\n${body}`,
  `Content-Type: image/png\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  `${typed}Content-Encoding: br\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  `${typed}Content-Length: 3\r\n\r\nabc`,
  `${typed}Content-Length: 0\r\n\r\n`,
];

export function compressorSuite(): Suite {
  const [plain = ""] = answers;
  const cases = [
    ...Object.keys(chains).flatMap((lane) => [
      ...accepted.flatMap((accept) => responseCase(lane, accept, plain)),
      ...answers.flatMap((text) => responseCase(lane, "gzip, br, zstd", text)),
      ...["/off", "/on", "/br"].flatMap((path) =>
        ["gzip", "br", "gzip, br"].flatMap((accept) => responseCase(lane, accept, plain, path)),
      ),
    ]),
    ...["/a", "/off", "/br"].flatMap((path) =>
      requests.map((rest): JudgedCase => ({
        title: `POST ${path} ${JSON.stringify(rest)}`,
        lane: "requests",
        send: { protocol: "http1", bytes: raw(`POST ${path} HTTP/1.1\r\nHost: a.test\r\n${rest}`) },
      })),
    ),
    {
      title: "POST over HTTP/2",
      lane: "requests",
      send: {
        protocol: "http2" as const,
        frames: Buffer.concat([
          headers(
            1,
            [
              [":method", "POST"],
              [":scheme", "http"],
              [":authority", "a.test"],
              [":path", "/a"],
              ["content-type", "text/plain"],
            ],
            false,
          ),
          data(1, body),
        ]),
      },
    },
  ];
  return { name: "compressor", least: 600, lanes, copies: 2, cases };
}
