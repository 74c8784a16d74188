// Responses of an upstream that a proxy must not forward unchanged.
import { headers } from "./http2-client.ts";
import { raw, type JudgedCase, type Suite } from "./judged-case.ts";

const ok = (fields: string, body = ""): string => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
const chunked = (body: string): string => ok("Transfer-Encoding: chunked\r\n", body);

const trailerLines = [
  "x-a: b",
  "authorization: a",
  "content-length: 5",
  "transfer-encoding: chunked",
  "host: b",
  "set-cookie: a=b",
  "connection: close",
  "x-forwarded-client-cert: a",
  "a b: c",
  "x-a",
  ":status: 500",
  " x: y",
  "x: \x00",
  "x: \xe9",
  "grpc-status: 0",
  "trailer: x",
  "content-type: a/b",
  "(x): y",
];
const answers = [
  ok("Content-Length: 2\r\n", "ok"),
  chunked("2\r\nok\r\n0\r\n\r\n"),
  chunked("2;a=b\r\nok\r\n0;c\r\n\r\n"),
  ...trailerLines.map((line) => chunked(`2\r\nok\r\n0\r\n${line}\r\n\r\n`)),
  ok("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"),
  ok("Content-Length: 2\r\nContent-Length: 3\r\n", "ok"),
  ok("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
  ok("Transfer-Encoding: gzip\r\n", "ok"),
  ok("Content-Length: -1\r\n", "ok"),
  ok("Content-Length: 2, 2\r\n", "ok"),
  ok("Content-Length: x\r\n", "ok"),
  ok("Content-Length: 2\r\nX-A : b\r\n", "ok"),
  ok("Content-Length: 2\r\n X-A: b\r\n", "ok"),
  ok("Content-Length: 2\r\nX: a\x00b\r\n", "ok"),
  ok("Content-Length: 2\r\nX: \xe9\r\n", "ok"),
  ok("Content-Length: 2\r\nX: a\nb: c\r\n", "ok"),
  ok("Content-Length: 2\r\nX(: a\r\n", "ok"),
  ok("Content-Length: 2\r\nConnection: x-a\r\nX-A: b\r\n", "ok"),
  ok("Content-Length: 2\r\nConnection: content-length\r\n", "ok"),
  ok("Content-Length: 2\r\nKeep-Alive: x\r\nProxy-Connection: y\r\nUpgrade: z\r\n", "ok"),
  ok("Content-Length: 2\r\nx-envoy-upstream-service-time: 9\r\nServer: s\r\nX-Request-Id: i\r\n", "ok"),
  ok("Content-Length: 2\r\nTE: trailers\r\nTrailer: x\r\n", "ok"),
  "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 099 x\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 1000 x\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 2x0 x\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
  "ICY 200 OK\r\n\r\n",
  "HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 304 x\r\nContent-Length: 2\r\n\r\n",
  "HTTP/1.1 100 x\r\n\r\n" + ok("Content-Length: 2\r\n", "ok"),
  "HTTP/1.1 103 x\r\nLink: a\r\n\r\n" + ok("Content-Length: 2\r\n", "ok"),
  "HTTP/1.1 101 x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
  "HTTP/1.1 200 O\xe9K\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 200 a\x00b\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 999 x\r\nContent-Length: 2\r\n\r\nok",
  "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
  "garbage\r\n\r\n",
];

export function answerSuite(): Suite {
  const lanes = [{ name: "answers", direction: "gateway" as const }];
  const request = raw("GET /a HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n\r\n");
  const frames = headers(1, [
    [":method", "GET"],
    [":scheme", "http"],
    [":authority", "a.test"],
    [":path", "/a"],
    ["te", "trailers"],
  ]);
  const cases = answers.flatMap((text): JudgedCase[] => {
    const shared = {
      lane: "answers",
      upstreamAnswer: { bytes: raw(text), closes: true },
      comparesAnswer: true,
    } as const;
    return [
      { ...shared, title: `HTTP/1 ${JSON.stringify(text)}`, send: { protocol: "http1", bytes: request } },
      { ...shared, title: `HTTP/2 ${JSON.stringify(text)}`, send: { protocol: "http2", frames } },
    ];
  });
  return { name: "answers", least: 80, lanes, copies: 6, cases };
}
