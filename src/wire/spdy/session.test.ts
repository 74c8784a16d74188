import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from "node:zlib";
import { spdyDictionary } from "./dictionary.ts";
import { decodeHeaders, encodeHeaders } from "./frames.ts";
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

test("a session's replies are read by zlib, and two sessions carry streams both ways", async () => {
  const seen: string[] = [];
  const toServer: Uint8Array[] = [];
  const toClient: Uint8Array[] = [];
  const server = new SpdySession({
    role: "server",
    send: (bytes) => void toClient.push(bytes),
    opened: (stream: SpdyStream) => {
      stream.setHandler({
        data: (bytes) => stream.write(bytes),
        end: () => stream.end(),
        reset: () => void seen.push("reset"),
      });
      seen.push(`${stream.id} ${stream.headers["streamtype"] ?? ""}`);
    },
  });
  const client = new SpdySession({
    role: "client",
    send: (bytes) => void toServer.push(bytes),
    opened: () => undefined,
  });
  const stream = client.open({ streamType: "data" });
  stream.setHandler({
    data: (bytes) => void seen.push(Buffer.from(bytes).toString()),
    end: () => void seen.push("end"),
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
  assert.deepEqual(seen, ["1 data", "3 error", "reset", "hello", "end"]);
  assert.equal(client.openStreams, 0);
  assert.equal(server.openStreams, 0);
});
