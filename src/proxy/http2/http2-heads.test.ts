import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageHead, scanRequestHead, scanResponseHead } from "../../wire/http1/index.ts";
import { hpackEncode, trailersFault } from "../../wire/http2/index.ts";
import {
  requestBlock,
  requestText,
  responseBlock,
  responseText,
  textOfTrailers,
  trailersOfText,
} from "./http2-heads.ts";

const request = (...more: string[]): string[] => [
  ":method",
  "GET",
  ":scheme",
  "https",
  ":path",
  "/",
  ":authority",
  "a.test",
  ...more,
];

test("a request's fields become a head of HTTP/1.1 and back: one host, joined cookies, chunked if the length is unknown", () => {
  const text = requestText(
    request("cookie", "a=1", "x", "y", "host", "a.test", "cookie", "b=2", "te", "trailers"),
    false,
  );
  assert.deepEqual(text, {
    text: "GET / HTTP/1.1\r\nhost: a.test\r\nx: y\r\nte: trailers\r\ncookie: a=1; b=2\r\ntransfer-encoding: chunked\r\n\r\n",
  });
  const head = new MessageHead();
  const bytes = Buffer.from(
    "POST /p?q HTTP/1.1\r\nHost: B\r\nConnection: x\r\nTransfer-Encoding: chunked\r\nX-Y: Z\r\nTE: trailers\r\n\r\n",
  );
  assert.ok(scanRequestHead(head, bytes, 0, bytes.length) > 0);
  const fields = [
    ":method",
    "POST",
    ":scheme",
    "http",
    ":path",
    "/p?q",
    ":authority",
    "B",
    "x-y",
    "Z",
    "te",
    "trailers",
  ];
  assert.deepEqual(requestBlock(head, "http"), hpackEncode(fields));
});

test("a response's head becomes a header block without the fields of its connection", () => {
  const head = new MessageHead();
  const bytes = Buffer.from(
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nKeep-Alive: timeout=5\r\nX-Empty:\r\nDate:  now \r\n\r\n",
  );
  assert.ok(scanResponseHead(head, bytes, 0, bytes.length) > 0);
  const fields = [":status", "200", "content-type", "text/plain", "x-empty", "", "date", "now"];
  assert.deepEqual(responseBlock(head), hpackEncode(fields));
});

const malformed: readonly (readonly [title: string, fields: string[]])[] = [
  ["no :path", [":method", "GET", ":scheme", "http", ":authority", "a"]],
  ["an empty :path", [":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"]],
  ["no :scheme", [":method", "GET", ":path", "/", ":authority", "a"]],
  ["no :authority and no host", [":method", "GET", ":scheme", "http", ":path", "/"]],
  ["a method that is no token", [":method", "GET /x", ":scheme", "http", ":path", "/", ":authority", "a"]],
  ["a pseudo field twice", request(":path", "/")],
  ["a pseudo field after others", request("x", "y", ":path", "/")],
  ["a pseudo field of responses", request(":status", "200")],
  [
    "extended CONNECT",
    [":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "a"],
  ],
  ["CONNECT with a path", [":method", "CONNECT", ":path", "/", ":authority", "a:1"]],
  ["a name in capitals", request("X-Y", "z")],
  ["a name with a space", request("x y", "z")],
  ["an empty name", request("", "z")],
  ["a value with a line break", request("x", "y\r\nevil: 1")],
  ["a path with a line break", [":method", "GET", ":scheme", "http", ":path", "/\r\nevil: 1", ":authority", "a"]],
  ["connection", request("connection", "close")],
  ["keep-alive", request("keep-alive", "1")],
  ["transfer-encoding", request("transfer-encoding", "chunked")],
  ["upgrade", request("upgrade", "websocket")],
  ["te other than trailers", request("te", "gzip")],
  ["two hosts that differ", request("host", "b.test")],
  ["content-length without a body", request("content-length", "1")],
];

for (const [title, fields] of malformed) {
  test(`a request is malformed: ${title}`, () => {
    assert.ok("malformed" in requestText(fields, true));
  });
}

test("malformed responses and trailers are rejected", () => {
  assert.deepEqual(responseText([":status", "200", "a", "b"]), { text: "HTTP/1.1 200 OK\r\na: b\r\n\r\n" });
  for (const fields of [
    [],
    [":status", "101"],
    [":status", "20"],
    [":status", "200", "connection", "close"],
    [":status", "200", "A", "b"],
    [":status", "200", ":path", "/"],
  ]) {
    assert.ok("malformed" in responseText(fields), fields.join(" "));
  }
  assert.equal(trailersFault(["grpc-status", "0"]), undefined);
  for (const fields of [
    [":status", "200"],
    ["a", "b\n"],
    ["Upper", "x"],
  ])
    assert.notEqual(trailersFault(fields), undefined);
});

test("framing and routing fields are removed from trailers in both directions", () => {
  assert.deepEqual(trailersOfText("Grpc-Status: 0\r\nContent-Length: 5\r\nConnection: x\r\nx:y\r\n"), [
    "grpc-status",
    "0",
    "x",
    "y",
  ]);
  assert.equal(textOfTrailers(["grpc-status", "0", "host", "a"]), "grpc-status: 0\r\n");
});
