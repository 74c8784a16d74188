import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  defaultHeadLimits,
  headRefused,
  MessageHead,
  scanRequestHead,
  scanResponseHead,
} from "../../wire/http1/index.ts";
import { hpackEncode, trailersFault } from "../../wire/http2/index.ts";
import {
  headMalformed,
  HeadReader,
  requestBlock,
  requestText,
  responseBlock,
  responseText,
  textOfTrailers,
  trailersOfText,
} from "./http2-heads.ts";
import { pseudoFault } from "./http2-pseudo.ts";

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

/** Reads a header list by scanning its text. {@link HeadReader} must always have the same result. */
function scannedText(fields: readonly string[], side: "request" | "response", endStream: boolean, head: MessageHead) {
  const result = side === "request" ? requestText(fields, endStream) : responseText(fields);
  if ("malformed" in result || (side === "request" && pseudoFault(fields) !== undefined)) return headMalformed;
  const bytes = Buffer.from(result.text, "latin1");
  const scan = side === "request" ? scanRequestHead : scanResponseHead;
  return scan(head, bytes, 0, bytes.length);
}

function contentOf(head: MessageHead, end: number): object {
  const { bytes, methodEnd, targetStart, targetEnd, status, ...rest } = head;
  const line = bytes[0] === "H".charCodeAt(0) && bytes[8] === 0x20 ? { status } : { methodEnd, targetStart, targetEnd };
  const arrays = Object.entries(rest).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof Int32Array || value instanceof Uint8Array ? [...value.subarray(0, head.fieldCount)] : value,
  ]);
  return { ...line, text: bytes.toString("latin1", 0, end), ...Object.fromEntries(arrays) };
}

const names = fc.oneof(
  fc.constantFrom(
    ..."accept cookie cookie content-length te host expect x-request-id x-envoy-a b3 connection transfer-encoding".split(
      " ",
    ),
    ..."upgrade keep-alive http2-settings X-A x_y content-type user-agent x-forwarded-for date server trailer".split(
      " ",
    ),
    ":path",
    ":method",
    ":status",
    "",
    "a b",
  ),
  fc.string({ maxLength: 12, unit: "binary-ascii" }),
);
const values = fc.oneof(
  fc.constantFrom(
    "",
    "0",
    "00",
    "5",
    "trailers",
    "100-continue",
    " a ",
    "\t",
    "close, x",
    "a\u00e9b",
    "a\r\nb",
    "a\u0001b",
  ),
  fc.string({ maxLength: 70, unit: "binary-ascii" }),
);
const regular = fc.array(fc.tuple(names, values), { maxLength: 6 }).map((pairs) => pairs.flat());
const mostly = (usual: string, ...others: readonly string[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
const pseudoFields = fc
  .tuple(
    mostly("GET", "POST", "CONNECT", "", "G T", "get"),
    mostly("https", "http", "HTTP", "ftp", ""),
    mostly("/a?b=c", "*", "", "a", "/a b", "/\u00e9"),
    mostly("a.test", "A.test:80", "", "a,b", "u@a"),
    fc.constantFrom<readonly string[]>([], [], [":method", "GET"], [":path", ""], [":protocol", "websocket"]),
    fc.boolean(),
  )
  .map(([method, scheme, path, authority, more, isReversed]) => {
    const pairs = [
      [":method", method],
      [":scheme", scheme],
      [":path", path],
      [":authority", authority],
    ];
    return [...(isReversed ? pairs.toReversed() : pairs).flat(), ...more];
  });

test("a header list is read as the scan of its text would read it", () => {
  const reader = new HeadReader(defaultHeadLimits);
  let usual = 0;
  const agrees = (fields: readonly string[], side: "request" | "response", endStream: boolean): void => {
    const expected = new MessageHead();
    const end = scannedText(fields, side, endStream, expected);
    assert.equal(side === "request" ? reader.request(fields, endStream) : reader.response(fields), end);
    if (end === headRefused) assert.deepEqual(reader.head.error, expected.error);
    if (end <= 0) return;
    assert.deepEqual(contentOf(reader.head, end), contentOf(expected, end));
    usual += 1;
  };
  fc.assert(
    fc.property(pseudoFields, regular, fc.boolean(), (pseudo, more, endStream) =>
      agrees([...pseudo, ...more], "request", endStream),
    ),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(mostly("200", "101", "100", "204", "099", "2000", ""), regular, (status, more) =>
      agrees([":status", status, ...more], "response", false),
    ),
    { numRuns: 2000 },
  );
  assert.ok(usual > 300, `only ${usual} heads were valid`);
});

test("a pseudo field that is empty and then comes again makes a request malformed", () => {
  const reader = new HeadReader(defaultHeadLimits);
  assert.equal(reader.request([":method", "", ...request()], true), headMalformed);
  assert.equal(reader.request([":authority", "", ...request()], true), headMalformed);
});

test("usual heads use the same memory one after another, and a large one leaves none behind", () => {
  const reader = new HeadReader(defaultHeadLimits);
  assert.ok(reader.request(request("accept", "*/*", "cookie", "a=1", "cookie", "b=2"), false) > 0);
  const memory = reader.head.bytes.buffer;
  assert.ok(reader.request(request("x-a", "b"), true) > 0);
  assert.equal(reader.head.bytes.buffer, memory);
  assert.ok(reader.response([":status", "200", "x-a", "b"]) > 0);
  assert.equal(reader.head.bytes.buffer, memory);
  const large = Array.from({ length: 9 }, (_, index) => [`x-${index}`, "v".repeat(6000)]).flat();
  assert.ok(reader.request(request(...large), true) > 0);
  assert.equal(reader.head.get("x-8"), "v".repeat(6000));
  assert.equal(reader.request(request(...large, "y", "v".repeat(8000)), true), headRefused);
  assert.equal(reader.head.error?.status, 431);
  assert.ok(reader.request(request("x-a", "b"), true) > 0);
  assert.ok(reader.head.bytes.length <= 65_536, `${reader.head.bytes.length} bytes are kept`);
});
