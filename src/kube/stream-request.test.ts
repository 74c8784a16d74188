import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { requestOverStream } from "./stream-request.ts";

/** Answers a request by some bytes, and then by what follows them. */
function streamOf(answer: string, then: (stream: Duplex) => void): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, written) => {
      written();
      stream.push(answer);
      setImmediate(() => then(stream));
    },
  });
  return stream;
}

test("an answer is read whole", async () => {
  const stream = streamOf("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", () => undefined);
  assert.deepEqual(await requestOverStream(stream, { method: "GET", path: "/" }), { status: 200, text: "abc" });
});

test("a stream that breaks in the midst of an answer fails the request, and nothing else", async () => {
  const stream = streamOf("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", (broken) => broken.destroy(new Error("broken")));
  await assert.rejects(requestOverStream(stream, { method: "GET", path: "/" }), /broken/);
});
