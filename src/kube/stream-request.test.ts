import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { requestOverStream } from "./stream-request.ts";

/** A stream that answers a request with these bytes, and then runs `then`. */
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

test("an answer is read completely", async () => {
  const stream = streamOf("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", () => undefined);
  assert.deepEqual(await requestOverStream(stream, { method: "GET", path: "/" }), { status: 200, text: "abc" });
});

test("a stream that breaks during an answer fails only its request", async () => {
  const stream = streamOf("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", (broken) =>
    broken.destroy(new Error("broken")),
  );
  await assert.rejects(requestOverStream(stream, { method: "GET", path: "/" }), /broken/);
});

test("an endless answer is ended together with its stream", async () => {
  const more = Buffer.alloc(1000);
  const stream = streamOf("HTTP/1.1 200 OK\r\n\r\n", (endless) => {
    const push = (): void => {
      if (endless.destroyed) return;
      endless.push(more);
      setImmediate(push);
    };
    push();
  });
  await assert.rejects(requestOverStream(stream, { method: "GET", path: "/", maxAnswerBytes: 10_000 }), {
    code: "answer-too-long",
    kind: "transient",
  });
  assert.equal(stream.destroyed, true);
});

test("the signal ends a slow answer with its reason and its stream", async () => {
  const stopping = new AbortController();
  const stream = streamOf("HTTP/1.1 200 OK\r\n\r\nabc", () => stopping.abort(new Error("enough")));
  await assert.rejects(requestOverStream(stream, { method: "GET", path: "/", signal: stopping.signal }), /enough/);
  assert.equal(stream.destroyed, true);
  const unused = streamOf("", () => undefined);
  await assert.rejects(requestOverStream(unused, { method: "GET", path: "/", signal: stopping.signal }), /enough/);
  assert.equal(unused.destroyed, true);
});
