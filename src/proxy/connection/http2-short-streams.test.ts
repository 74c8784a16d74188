import assert from "node:assert/strict";
import { test } from "node:test";
import { collectGarbage, oldBytes } from "../../base/testing/index.ts";
import { connectTcp } from "../../net/index.ts";
import { FrameReader, FrameWriter, hpackEncode } from "../../wire/http2/index.ts";
import { Harness, route, tableOf } from "../testing/harness.ts";

const streamsAtATime = 16;
const collectEvery = 500;
const get = hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]);

/** Sends requests over one connection, and keeps several open. Node's own client would keep old streams itself. */
async function connectionTo(port: number): Promise<{ send(requests: number): Promise<void> } & Disposable> {
  const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000 });
  const writer = new FrameWriter();
  const flush = (): void => {
    stream.write(Buffer.from(writer.view()));
    writer.reuse();
  };
  let nextId = 1;
  let unsent = 0;
  let unanswered = 0;
  let done = (): void => undefined;
  const open = (): void => {
    if (unsent === 0) return;
    unsent -= 1;
    writer.headers(nextId, get, true, 16_384);
    nextId += 2;
  };
  const answered = (_streamId: number, _fields: readonly string[], endStream: boolean): void => {
    assert.ok(endStream);
    unanswered -= 1;
    if (unanswered % collectEvery === 0) collectGarbage("minor");
    if (unanswered === 0) done();
    open();
  };
  const nothing = (): void => undefined;
  const reader = new FrameReader(
    {
      data: nothing,
      padding: nothing,
      headers: answered,
      rstStream: nothing,
      settings: nothing,
      settingsAck: nothing,
      ping: nothing,
      pingAck: nothing,
      goaway: nothing,
      windowUpdate: nothing,
    },
    { maxFrameSize: 1 << 20, expectPreface: false },
  );
  const data = (chunk: Buffer): void => {
    reader.push(chunk);
    if (writer.length > 0) flush();
  };
  stream.setHandler({ data, end: nothing, drain: nothing, close: nothing });
  stream.resume();
  writer.preface();
  writer.settings([]);
  return {
    send: async (requests) => {
      unsent = requests;
      unanswered = requests;
      for (let count = 0; count < streamsAtATime; count += 1) open();
      flush();
      await new Promise<void>((resolve) => (done = resolve));
    },
    [Symbol.dispose]: () => stream.destroy(),
  };
}

test("requests of a long connection are collected before they reach the old space", async () => {
  await using harness = await Harness.start({}, 1, { observe: () => undefined });
  harness.table = tableOf(route({ kind: "direct-response", status: 200, body: Buffer.alloc(0) }));
  using connection = await connectionTo(harness.port);
  await connection.send(3000);
  // A full collection moves everything that is alive to V8's old generation.
  collectGarbage("all");
  const before = oldBytes();
  const requests = 10_000;
  await connection.send(requests);
  const each = (oldBytes() - before) / requests;
  assert.ok(each < 60, `${each} bytes of each request became old`);
});
