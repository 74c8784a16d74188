import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from "node:zlib";
import { spdyDictionary } from "./dictionary.ts";
import { suspicion } from "../../base/testing/index.ts";
import { decodeHeaders, encodeFrame, encodeHeaders, SpdyFrameReader } from "./frames.ts";
import { MessageInflater } from "./inflate.ts";
import { SpdySession, type SpdyStream } from "./session.ts";

async function through(stream: Inflate | Deflate, input: Uint8Array): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const collect = (chunk: Buffer): void => void chunks.push(chunk);
  stream.on("data", collect);
  stream.write(input);
  await new Promise<void>((resolve) => stream.flush(constants.Z_SYNC_FLUSH, () => resolve()));
  stream.off("data", collect);
  return Buffer.concat(chunks);
}

test("header blocks compressed by zlib with SPDY's dictionary are read, message after message", async () => {
  const deflate = createDeflate({ dictionary: spdyDictionary, level: 9 });
  const inflater = new MessageInflater(spdyDictionary);
  const source = readFileSync(import.meta.filename, "utf8");
  for (const headers of [
    { streamtype: "error", port: "8080", requestid: "0" },
    { streamtype: "data", port: "8080", requestid: "0" },
    { long: source },
    { long: source, accept: "text/html" },
  ]) {
    const message = await through(deflate, encodeHeaders(headers));
    assert.deepEqual(decodeHeaders(inflater.inflate(message)), headers);
  }
  deflate.close();
});

test("zlib reads a session's replies, and two sessions carry streams both ways", async () => {
  const events: string[] = [];
  const toServer: Uint8Array[] = [];
  const toClient: Uint8Array[] = [];
  const server = new SpdySession({
    role: "server",
    send: (bytes) => void toClient.push(bytes),
    opened: (stream: SpdyStream) => {
      stream.setHandler({
        data: (bytes) => stream.write(bytes),
        end: () => stream.end(),
        reset: () => void events.push("reset"),
      });
      events.push(`${stream.id} ${stream.headers["streamtype"] ?? ""}`);
    },
  });
  const client = new SpdySession({
    role: "client",
    send: (bytes) => void toServer.push(bytes),
    opened: () => undefined,
  });
  const stream = client.open({ streamType: "data" });
  stream.setHandler({
    data: (bytes) => void events.push(Buffer.from(bytes).toString()),
    end: () => void events.push("end"),
    reset: () => undefined,
  });
  stream.write(Buffer.from("hello"));
  stream.end();
  client.open({ streamType: "error" }).reset();
  for (const byte of Buffer.concat(toServer)) server.receive(Uint8Array.of(byte));
  const inflate = createInflate({ dictionary: spdyDictionary });
  assert.deepEqual([...(await through(inflate, (toClient[0] ?? new Uint8Array()).slice(12)))], [0, 0, 0, 0]);
  inflate.close();
  client.receive(Buffer.concat(toClient));
  assert.deepEqual(events, ["1 data", "3 error", "reset", "hello", "end"]);
  assert.equal(client.openStreams, 0);
  assert.equal(server.openStreams, 0);
});

test("a stream that is opened again is refused, and the first one stays open", () => {
  const events: string[] = [];
  const toServer: Uint8Array[] = [];
  const server = new SpdySession({
    role: "server",
    send: (bytes) => void events.push(`type ${bytes[3]}`),
    opened: (stream) => {
      events.push(`opened ${stream.id}`);
      stream.setHandler({ data: (bytes) => void events.push(Buffer.from(bytes).toString()), end() {}, reset() {} });
    },
  });
  for (const name of ["a", "b"])
    new SpdySession({ role: "client", send: (bytes) => void toServer.push(bytes), opened() {} }).open({ name });
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = toServer;
  server.receive(first);
  // The head with the dictionary comes only once in a connection.
  server.receive(
    Buffer.concat([second.subarray(0, 4), length(second.length - 8 - 6), second.subarray(8, 18), second.subarray(24)]),
  );
  server.receive(encodeFrame({ type: "data", streamId: 1, fin: false, bytes: Buffer.from("hello") }));
  assert.deepEqual(events.slice(0, 4), ["type 2", "opened 1", "type 3", "hello"]);
  assert.equal(server.openStreams, 1);
});

function length(bytes: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(bytes);
  return out;
}

test("a large frame in small pieces is read in linear time", () => {
  const make = (bytes: number): Uint8Array =>
    encodeFrame({ type: "data", streamId: 1, fin: false, bytes: new Uint8Array(bytes) });
  const run = (frame: Uint8Array): void => {
    const reader = new SpdyFrameReader();
    const frames: unknown[] = [];
    for (let at = 0; at < frame.length; at += 16) frames.push(...reader.push(frame.subarray(at, at + 16)));
    assert.equal(frames.length, 1);
  };
  assert.equal(suspicion(run, make, 400_000), undefined);
});
