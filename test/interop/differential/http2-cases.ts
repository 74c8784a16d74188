// Requests and frames of HTTP/2 that a stranger may send.
import { data, fieldBlock, flags, frame, frameTypes, headers } from "./http2-client.ts";
import type { JudgedCase, Suite } from "./judged-case.ts";

const lanes = ["gateway", "inbound"] as const;
type Field = readonly [string, string];

const pseudo = (more: Readonly<Record<string, string | undefined>> = {}): Field[] =>
  Object.entries({ ":method": "GET", ":scheme": "http", ":authority": "a.test", ":path": "/a", ...more }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
const get = (fields: readonly Field[] = [], more: Readonly<Record<string, string | undefined>> = {}): Buffer =>
  headers(1, [...pseudo(more), ...fields]);
const post = { ":method": "POST" };
const bytes = (...values: number[]): Buffer => Buffer.from(values);
const uint = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
};

type Written = readonly [title: string, frames: Buffer, streams?: readonly number[]];

const methods = [
  "GET",
  "get",
  "HEAD",
  "head",
  "POST",
  "DELETE",
  "delete",
  "Delete",
  "OPTIONS",
  "TRACE",
  "PATCH",
  "CONNECT",
  "FOO",
  "foo",
  "",
  " ",
  "GE T",
  "GET ",
  "G\xc9T",
  "G\x00T",
  "GET\r\nx: y",
  "M-SEARCH",
  "A_B",
];
const paths = [
  "/",
  "/a",
  "",
  "a",
  "*",
  "/a b",
  "/a#b",
  "/a?b",
  "?a",
  "//a",
  "/a\x7f",
  "/a\x80",
  "/\xc3\xa9",
  "/a\x00b",
  "/a\r\nb",
  "/a\tb",
  "/..",
  "/x/..;/a",
  "/%00",
  "/%zz",
  "/%2e%2e/a",
  "/\\a",
  "http://b.test/x",
  "https://b.test/x",
  "http://a.test/x",
  "HTTP://b.test",
  "b.test:80",
  "/a HTTP/1.1",
  "/<a>",
  '/"',
  "/{}",
  " /a",
  "/a ",
];
const schemes = [
  "http",
  "https",
  "HTTP",
  "ftp",
  "",
  " ",
  "http ",
  "h",
  "javascript",
  "http:",
  "http://evil.test/?",
  "ws",
  "\xe9",
  "a\x00",
  "http\r\nx: y",
  "+",
  "1",
];
const authorities = [
  "a.test",
  "A.TEST",
  "",
  " ",
  "a.test:80",
  "a.test:",
  "a.test:x",
  "a test",
  "a/test",
  "u@a.test",
  "a.test#x",
  "a.test?x",
  "a\\b",
  "[::1]",
  "[::1",
  "\xe9",
  "a,b",
  "a%2eb",
  "a\x00b",
  "a\r\nb",
  'a"b',
  "<a>",
  "a|b",
  "a_b",
  "-",
  "a.test, b.test",
];
const names = [
  "x",
  "X",
  "x-A",
  "",
  " x",
  "x ",
  "x y",
  "x:",
  ":x",
  ":status",
  ":protocol",
  ":path",
  ":method",
  "x\x00",
  "x\r\n",
  "x\ty",
  "(x)",
  "x@",
  "\xe9",
  "x_y",
  "x.y",
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "te",
  "host",
  "trailer",
  "expect",
  "content-length",
  "http2-settings",
  "proxy-authenticate",
];
const values = ["y", "", " y", "y ", "\ty", "y\x00", "y\r\nz: w", "y\n", "y\r", "\x01", "\x7f", "\xe9", "\xff"];
const trailers: readonly Field[] = [
  ["x-a", "b"],
  ["X-A", "b"],
  ["authorization", "Bearer x"],
  ["x-forwarded-client-cert", "By=a"],
  ["x-forwarded-for", "1.2.3.4"],
  ["host", "b.test"],
  ["content-length", "5"],
  ["transfer-encoding", "chunked"],
  ["connection", "close"],
  ["te", "trailers"],
  ["trailer", "x"],
  ["content-type", "a/b"],
  ["cookie", "a=b"],
  ["set-cookie", "a=b"],
  ["x-envoy-retry-on", "5xx"],
  [":path", "/admin"],
  [":method", "DELETE"],
  [":authority", "b.test"],
  [":status", "200"],
  ["", "b"],
  ["x y", "b"],
  ["x", "\x00"],
  ["x", "a\r\nb: c"],
  ["x", "\xe9"],
  ["expect", "100-continue"],
  ["upgrade", "websocket"],
  ["keep-alive", "x"],
  ["grpc-status", "0"],
  ["x-role", "admin"],
  ["x-real-ip", "1.1.1.1"],
  ["cache-control", "no-store"],
  ["x_under", "b"],
  ["x", "y".repeat(3000)],
];

function heads(): Written[] {
  return [
    ...methods.map((value): Written => [`:method ${JSON.stringify(value)}`, get([], { ":method": value })]),
    ...paths.map((value): Written => [`:path ${JSON.stringify(value)}`, get([], { ":path": value })]),
    ...schemes.map((value): Written => [`:scheme ${JSON.stringify(value)}`, get([], { ":scheme": value })]),
    ...authorities.map((value): Written => [`:authority ${JSON.stringify(value)}`, get([], { ":authority": value })]),
    ...authorities.map((value): Written => [
      `host ${JSON.stringify(value)} and no :authority`,
      get([["host", value]], { ":authority": undefined }),
    ]),
    ...names.map((name): Written => [`name ${JSON.stringify(name)}`, get([[name, "y"]])]),
    ...values.map((value): Written => [`value ${JSON.stringify(value)}`, get([["x", value]])]),
    ...[":method", ":scheme", ":authority", ":path"].flatMap((name): Written[] => [
      [`no ${name}`, get([], { [name]: undefined })],
      [`${name} twice`, headers(1, [...pseudo(), [name, "/b"]])],
      [`${name} after others`, headers(1, [...pseudo({ [name]: undefined }), ["x", "y"], [name, "/b"]])],
    ]),
    ["no fields", headers(1, [])],
    ["host beside the same :authority", get([["host", "a.test"]])],
    ["host beside another :authority", get([["host", "b.test"]])],
    [
      "host twice",
      get([
        ["host", "a.test"],
        ["host", "a.test"],
      ]),
    ],
    ["host beside an empty :authority", get([["host", "b.test"]], { ":authority": "" })],
    ["host with other case than :authority", get([["host", "A.TEST"]])],
    [
      "cookies",
      get([
        ["cookie", "a=b"],
        ["cookie", "c=d"],
      ]),
    ],
    ["te: trailers", get([["te", "trailers"]])],
    ["te: gzip", get([["te", "gzip"]])],
    ["te: trailers, gzip", get([["te", "trailers, gzip"]])],
    ["CONNECT", get([], { ":method": "CONNECT", ":scheme": undefined, ":path": undefined })],
    ["CONNECT with :path", get([], { ":method": "CONNECT" })],
    ["extended CONNECT", get([[":protocol", "websocket"]], { ":method": "CONNECT" })],
    ["90 fields", get(Array.from({ length: 90 }, () => ["x", "y"] as const))],
    ["101 fields", get(Array.from({ length: 101 }, () => ["x", "y"] as const))],
    ["a field of 12 KiB", get([["x", "y".repeat(12_000)]])],
    ["expect: 100-continue", get([["expect", "100-continue"]])],
    ["a plain GET", get()],
  ];
}

function bodies(): Written[] {
  const begin = (more: readonly Field[] = []): Buffer => headers(1, [...pseudo(post), ...more], false);
  return [
    ["a body", Buffer.concat([begin(), data(1, "hello")])],
    ["a body of its length", Buffer.concat([begin([["content-length", "5"]]), data(1, "hello")])],
    ["a body beyond its length", Buffer.concat([begin([["content-length", "3"]]), data(1, "hello")])],
    ["a body short of its length", Buffer.concat([begin([["content-length", "9"]]), data(1, "hello")])],
    [
      "two lengths",
      Buffer.concat([
        begin([
          ["content-length", "5"],
          ["content-length", "5"],
        ]),
        data(1, "hello"),
      ]),
    ],
    [
      "two lengths that differ",
      Buffer.concat([
        begin([
          ["content-length", "5"],
          ["content-length", "6"],
        ]),
        data(1, "hello"),
      ]),
    ],
    ["a length that is no number", Buffer.concat([begin([["content-length", "5a"]]), data(1, "hello")])],
    ["a length with a plus", Buffer.concat([begin([["content-length", "+5"]]), data(1, "hello")])],
    ["a length list", Buffer.concat([begin([["content-length", "5, 5"]]), data(1, "hello")])],
    ["an empty length", Buffer.concat([begin([["content-length", ""]]), data(1, "hello")])],
    ["a length without a body", headers(1, [...pseudo(post), ["content-length", "5"]])],
    ["a length of nothing", headers(1, [...pseudo(post), ["content-length", "0"]])],
    ["a GET with a body", Buffer.concat([headers(1, pseudo(), false), data(1, "hello")])],
    ["a HEAD with a body", Buffer.concat([headers(1, pseudo({ ":method": "HEAD" }), false), data(1, "hello")])],
    ["DATA in parts", Buffer.concat([begin(), data(1, "he", false), data(1, "llo", false), data(1, "")])],
    [
      "padded DATA",
      Buffer.concat([
        begin(),
        frame(
          frameTypes.data,
          flags.endStream | flags.padded,
          1,
          Buffer.concat([bytes(3), Buffer.from("hello"), bytes(0, 0, 0)]),
        ),
      ]),
    ],
    [
      "DATA padded with other than zeros",
      Buffer.concat([
        begin(),
        frame(
          frameTypes.data,
          flags.endStream | flags.padded,
          1,
          Buffer.concat([bytes(3), Buffer.from("hello"), bytes(1, 2, 3)]),
        ),
      ]),
    ],
    [
      "DATA with more padding than payload",
      Buffer.concat([
        begin(),
        frame(frameTypes.data, flags.endStream | flags.padded, 1, Buffer.concat([bytes(200), Buffer.from("hello")])),
      ]),
    ],
    ["DATA after the end", Buffer.concat([begin(), data(1, "hello"), data(1, "more")])],
    ["HEADERS after the end", Buffer.concat([begin(), data(1, "hello"), headers(1, [["x", "y"]])])],
    ...trailers.map(([name, value]): Written => [
      `trailer ${JSON.stringify(name)}: ${JSON.stringify(value.slice(0, 30))}`,
      Buffer.concat([begin(), data(1, "hello", false), headers(1, [[name, value]])]),
    ]),
    [
      "trailers without the end",
      Buffer.concat([begin(), data(1, "hello", false), headers(1, [["x", "y"]], false), data(1, "more")]),
    ],
    ["two blocks of trailers", Buffer.concat([begin(), headers(1, [["x", "y"]], false), headers(1, [["x", "z"]])])],
    ["empty trailers", Buffer.concat([begin(), data(1, "hello", false), headers(1, [])])],
    [
      "trailers beside a length",
      Buffer.concat([begin([["content-length", "5"]]), data(1, "hello", false), headers(1, [["x-a", "b"]])]),
    ],
  ];
}

function framesOf(): Written[] {
  const block = fieldBlock(pseudo());
  const whole = flags.endHeaders | flags.endStream;
  return [
    ["SETTINGS on a stream", Buffer.concat([frame(frameTypes.settings, 0, 1), get()])],
    ["SETTINGS of 5 bytes", Buffer.concat([frame(frameTypes.settings, 0, 0, Buffer.alloc(5)), get()])],
    ["SETTINGS ACK with payload", Buffer.concat([frame(frameTypes.settings, 1, 0, Buffer.alloc(6)), get()])],
    ["ENABLE_PUSH 2", Buffer.concat([frame(frameTypes.settings, 0, 0, bytes(0, 2, 0, 0, 0, 2)), get()])],
    ["INITIAL_WINDOW_SIZE 2^31", Buffer.concat([frame(frameTypes.settings, 0, 0, bytes(0, 4, 0x80, 0, 0, 0)), get()])],
    ["MAX_FRAME_SIZE 1", Buffer.concat([frame(frameTypes.settings, 0, 0, bytes(0, 5, 0, 0, 0, 1)), get()])],
    ["an unknown setting", Buffer.concat([frame(frameTypes.settings, 0, 0, bytes(0, 99, 0, 0, 0, 1)), get()])],
    ["PING", Buffer.concat([frame(frameTypes.ping, 0, 0, Buffer.alloc(8)), get()])],
    ["PING of 7 bytes", Buffer.concat([frame(frameTypes.ping, 0, 0, Buffer.alloc(7)), get()])],
    ["PING on a stream", Buffer.concat([frame(frameTypes.ping, 0, 1, Buffer.alloc(8)), get()])],
    ["WINDOW_UPDATE 0 of the connection", Buffer.concat([frame(frameTypes.window, 0, 0, uint(0)), get()])],
    [
      "WINDOW_UPDATE 2^31-1 of the connection",
      Buffer.concat([frame(frameTypes.window, 0, 0, uint(2 ** 31 - 1)), get()]),
    ],
    [
      "WINDOW_UPDATE 0 of the stream",
      Buffer.concat([headers(1, pseudo(post), false), frame(frameTypes.window, 0, 1, uint(0)), data(1, "x")]),
    ],
    [
      "WINDOW_UPDATE 2^31-1 of the stream",
      Buffer.concat([headers(1, pseudo(post), false), frame(frameTypes.window, 0, 1, uint(2 ** 31 - 1)), data(1, "x")]),
    ],
    ["WINDOW_UPDATE of an idle stream", Buffer.concat([frame(frameTypes.window, 0, 5, uint(1)), get()])],
    ["WINDOW_UPDATE of 3 bytes", Buffer.concat([frame(frameTypes.window, 0, 0, bytes(0, 0, 1)), get()])],
    ["RST_STREAM of an idle stream", Buffer.concat([frame(frameTypes.reset, 0, 5, uint(8)), get()])],
    ["RST_STREAM of the connection", Buffer.concat([frame(frameTypes.reset, 0, 0, uint(8)), get()])],
    [
      "RST_STREAM of 3 bytes",
      Buffer.concat([headers(1, pseudo(post), false), frame(frameTypes.reset, 0, 1, bytes(0, 0, 8))]),
    ],
    [
      "PUSH_PROMISE",
      Buffer.concat([frame(frameTypes.push, flags.endHeaders, 1, Buffer.concat([uint(2), block])), get()]),
    ],
    ["PRIORITY", Buffer.concat([frame(frameTypes.priority, 0, 1, bytes(0, 0, 0, 3, 16)), get()])],
    ["PRIORITY on itself", Buffer.concat([frame(frameTypes.priority, 0, 1, bytes(0, 0, 0, 1, 16)), get()])],
    ["PRIORITY of 4 bytes", Buffer.concat([frame(frameTypes.priority, 0, 1, bytes(0, 0, 0, 3)), get()])],
    ["PRIORITY of the connection", Buffer.concat([frame(frameTypes.priority, 0, 0, bytes(0, 0, 0, 3, 16)), get()])],
    ["GOAWAY", Buffer.concat([frame(frameTypes.goaway, 0, 0, Buffer.alloc(8)), get()])],
    ["GOAWAY on a stream", Buffer.concat([frame(frameTypes.goaway, 0, 1, Buffer.alloc(8)), get()])],
    ["GOAWAY of 4 bytes", Buffer.concat([frame(frameTypes.goaway, 0, 0, Buffer.alloc(4)), get()])],
    ["an unknown frame", Buffer.concat([frame(0x42, 0, 1, Buffer.alloc(4)), get()])],
    [
      "an unknown frame amid a header block",
      Buffer.concat([
        frame(frameTypes.headers, flags.endStream, 1, block.subarray(0, 9)),
        frame(0x42, 0, 1),
        frame(frameTypes.continuation, flags.endHeaders, 1, block.subarray(9)),
      ]),
    ],
    [
      "CONTINUATION",
      Buffer.concat([
        frame(frameTypes.headers, flags.endStream, 1, block.subarray(0, 9)),
        frame(frameTypes.continuation, flags.endHeaders, 1, block.subarray(9)),
      ]),
    ],
    [
      "CONTINUATION of another stream",
      Buffer.concat([
        frame(frameTypes.headers, flags.endStream, 1, block.subarray(0, 9)),
        frame(frameTypes.continuation, flags.endHeaders, 3, block.subarray(9)),
      ]),
    ],
    ["CONTINUATION alone", Buffer.concat([frame(frameTypes.continuation, flags.endHeaders, 1, block)])],
    ["HEADERS on stream 0", frame(frameTypes.headers, whole, 0, block)],
    ["HEADERS on stream 2", frame(frameTypes.headers, whole, 2, block), [2]],
    [
      "HEADERS with priority",
      frame(frameTypes.headers, whole | flags.priority, 1, Buffer.concat([bytes(0, 0, 0, 0, 16), block])),
    ],
    [
      "HEADERS that depends on itself",
      frame(frameTypes.headers, whole | flags.priority, 1, Buffer.concat([bytes(0, 0, 0, 1, 16), block])),
    ],
    [
      "padded HEADERS",
      frame(frameTypes.headers, whole | flags.padded, 1, Buffer.concat([bytes(2), block, bytes(0, 0)])),
    ],
    [
      "HEADERS with more padding than payload",
      frame(frameTypes.headers, whole | flags.padded, 1, Buffer.concat([bytes(255), block])),
    ],
    ["an HPACK index of 0", frame(frameTypes.headers, whole, 1, bytes(0x80))],
    ["an HPACK index beyond the table", frame(frameTypes.headers, whole, 1, bytes(0xff, 0x20))],
    [
      "an HPACK integer without end",
      frame(frameTypes.headers, whole, 1, bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)),
    ],
    ["an HPACK string cut short", frame(frameTypes.headers, whole, 1, bytes(0, 10, 65))],
    [
      "an HPACK table of 2^20",
      frame(frameTypes.headers, whole, 1, Buffer.concat([bytes(0x3f, 0xe1, 0xff, 0x3f), block])),
    ],
    ["an HPACK table update at the end", frame(frameTypes.headers, whole, 1, Buffer.concat([block, bytes(0x20)]))],
    [
      "Huffman padding of zeros",
      frame(frameTypes.headers, whole, 1, Buffer.concat([block, bytes(0, 1, 120, 0x81, 0)])),
    ],
    ["stream 3, then stream 1", Buffer.concat([headers(3, pseudo()), headers(1, pseudo())]), [3]],
    ["stream 1 twice", Buffer.concat([get(), get()])],
    ["three streams", Buffer.concat([headers(1, pseudo()), headers(3, pseudo()), headers(5, pseudo())]), [1, 3, 5]],
    ["DATA on an idle stream", data(1, "x")],
    ["DATA on stream 0", data(0, "x")],
    [
      "a frame of 16385 bytes",
      Buffer.concat([headers(1, pseudo(post), false), frame(frameTypes.data, 1, 1, Buffer.alloc(16_385, 97))]),
    ],
    [
      "a malformed head, then a good one",
      Buffer.concat([headers(1, [[":method", "GET"]]), headers(3, pseudo())]),
      [1, 3],
    ],
    [
      "bad trailers, then a good request",
      Buffer.concat([headers(1, pseudo(post), false), headers(1, [[":x", "y"]]), headers(3, pseudo())]),
      [1, 3],
    ],
  ];
}

const forgedFields: readonly Field[] = [
  ["x-envoy-retry-on", "5xx"],
  ["x-envoy-max-retries", "9"],
  ["x-envoy-original-url", "/admin"],
  ["x-envoy-internal", "true"],
  ["x-envoy-decorator-operation", "a"],
  ["x-envoy-force-trace", "1"],
  ["x-forwarded-for", "1.2.3.4"],
  ["x-forwarded-proto", "https"],
  ["x-forwarded-client-cert", "By=a"],
  ["authorization", "a"],
  ["x-forwarded-host", "b"],
  ["x-request-id", "x"],
];
const peers = ["10.7.0.1", "203.0.113.1"];

export function http2Suite(): Suite {
  const written = [...heads(), ...bodies(), ...framesOf()];
  const cases = lanes.flatMap((lane) => [
    ...written.map(([title, frames, streams]): JudgedCase => ({
      title,
      lane: `${lane}-h2`,
      send: { protocol: "http2", frames, ...(streams === undefined ? {} : { streams }) },
    })),
    ...forgedFields.flatMap((field) =>
      peers.map((from): JudgedCase => ({
        title: `${from} ${field.join(": ")}`,
        lane: `${lane}-h2`,
        send: { protocol: "http2", frames: get([field]), from },
      })),
    ),
  ]);
  return {
    name: "http2",
    least: 300,
    lanes: lanes.map((direction) => ({ name: `${direction}-h2`, direction })),
    copies: 6,
    cases,
  };
}
