import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import { FrameReader, FrameWriter, hpackEncode, type FrameHandler } from "../../wire/http2/index.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

// A client sends odd requests by HTTP/2. The backend is Node's own server of HTTP/1.1, which parses what the proxy made
// of them. If a request were smuggled, the backend would see one that no stream has sent, or a body of another stream.

const names = [
  "x-a",
  "X-Upper",
  "x a",
  "x:a",
  "x\r\nget",
  "",
  ":path",
  ":authority",
  "host",
  "connection",
  "transfer-encoding",
  "content-length",
  "te",
  "upgrade",
  "keep-alive",
  "proxy-connection",
  "trailer",
  "expect",
  "http2-settings",
] as const;
const values = [
  "",
  "1",
  "0",
  "+5",
  "5, 5",
  "5\t",
  "chunked",
  "chunked, identity",
  "x-id",
  "close",
  "other.test",
  "trailers",
  "100-continue",
  "websocket",
  "a\r\nx-id: 99\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a",
  "a\nb",
  "a\0b",
  " a ",
  "é",
] as const;
const paths = ["/", "/a b", "/\r\nx: y", "*", "", "http://b/", "/a?b#c", "//b", "/%0d%0a"] as const;
const methods = [
  "GET",
  "POST",
  "HEAD",
  "DELETE",
  "OPTIONS",
  "G T",
  "GET /smuggled HTTP/1.1\r\n",
  "get",
  "PRI",
] as const;
const bodies = ["", "x", "0\r\n\r\n", "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"] as const;

interface OddRequest {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The payloads of the DATA frames. */
  readonly data: readonly string[];
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

const field = fc.tuple(fc.constantFrom(...names), fc.constantFrom(...values));
const mostly = <Value>(usual: Value, odd: readonly Value[]): fc.Arbitrary<Value> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
const oddRequest: fc.Arbitrary<OddRequest> = fc.record({
  method: mostly<string>("POST", methods),
  path: mostly<string>("/", paths),
  fields: fc.array(field, { maxLength: 4 }),
  data: fc.array(fc.constantFrom(...bodies), { maxLength: 3 }),
  trailers: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(field, { minLength: 1, maxLength: 2 })),
});

/** Writes the streams of the requests: the id of each is in `x-id`. */
function framesOf(requests: readonly OddRequest[]): Buffer {
  const writer = new FrameWriter();
  writer.preface();
  writer.settings([]);
  for (const [index, { method, path, fields, data, trailers }] of requests.entries()) {
    const id = 2 * index + 1;
    const head = [":method", method, ":scheme", "http", ":path", path, ":authority", "a", "x-id", String(index)];
    const hasTrailers = trailers.length > 0;
    writer.headers(id, hpackEncode([...head, ...fields.flat()]), data.length === 0 && !hasTrailers, 16_384);
    for (const [at, text] of data.entries()) {
      const bytes = Buffer.from(text);
      writer.data(id, bytes, 0, bytes.length, at === data.length - 1 && !hasTrailers);
    }
    if (hasTrailers) writer.headers(id, hpackEncode(trailers.flat()), true, 16_384);
  }
  return Buffer.from(writer.view());
}

/** Sends the frames, and waits until each stream has ended or the connection has. */
async function play(port: number, requests: readonly OddRequest[]): Promise<void> {
  const ended = new Set<number>();
  await new Promise<void>((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (id: number, isEnd: boolean): void => {
      if (isEnd) ended.add(id);
      if (ended.size >= requests.length) socket.destroy();
    };
    const ignore = (): void => undefined;
    const handler: FrameHandler = {
      data: (id, _chunk, isEnd) => end(id, isEnd),
      headers: (id, _fields, isEnd) => end(id, isEnd),
      rstStream: (id) => end(id, true),
      padding: ignore,
      settings: ignore,
      settingsAck: ignore,
      ignored: ignore,
      ping: ignore,
      pingAck: ignore,
      goaway: () => socket.destroy(),
      windowUpdate: ignore,
      smallData: ignore,
      isTurnOver: () => false,
    };
    const reader = new FrameReader(handler, { maxFrameSize: 16_384, expectPreface: false });
    socket.on("data", (chunk) => reader.push(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.write(framesOf(requests));
  });
}

test("no field, path, method, body or trailer of HTTP/2 becomes another request of HTTP/1.1", async () => {
  const seen: { readonly id: string; readonly url: string; readonly body: string }[] = [];
  await using harness = await Harness.start({}, 1);
  const { port } = await harness.backend((request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      seen.push({
        id: request.headersDistinct["x-id"]?.join("|") ?? "none",
        url: request.url ?? "",
        body: Buffer.concat(parts).toString(),
      });
      response.end("fine");
    });
    request.on("error", () => undefined);
  });
  harness.cluster("app", [port]);
  harness.table = tableOf(route(forwardTo("app")));
  await fc.assert(
    fc.asyncProperty(fc.array(oddRequest, { minLength: 1, maxLength: 6 }), async (requests) => {
      seen.length = 0;
      await play(harness.port, requests);
      for (const { id, url, body } of seen) {
        const sent = requests[Number(id)];
        assert.ok(/^\d$/.test(id) && sent !== undefined, `the backend saw a request with the ids ${id}`);
        assert.ok(!url.includes("smuggled"), url);
        const whole = sent.data.join("");
        // With a wrong length, the request that the backend sees may end before the stream does.
        if (sent.fields.some(([name]) => name === "content-length")) assert.ok(whole.startsWith(body), body);
        else assert.equal(body, whole);
      }
      const ids = seen.map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length, `a request was seen twice: ${ids.join()}`);
    }),
    { numRuns: 300 },
  );
  // The property says little if nothing arrives.
  seen.length = 0;
  await play(harness.port, [
    { method: "POST", path: "/", fields: [["x-a", "1"]], data: ["x", "0\r\n\r\n"], trailers: [] },
  ]);
  assert.equal(seen.length, 1);
});
