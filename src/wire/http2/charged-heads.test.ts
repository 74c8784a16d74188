import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameWriter } from "./frame-writer.ts";
import { hpackEncode } from "./hpack-encoder.ts";
import { Http2Session } from "./session.ts";
import { SessionStream } from "./session-stream.ts";
import type { SessionPort } from "./session-types.ts";
import { modelLimits } from "./testing/session-model.ts";

/** A client's stream that never resets, like that of a tunnel whose server has answered. */
class PatientStream extends SessionStream {
  receive(): number {
    return 0;
  }
  receiveHeaders(): number {
    return 0;
  }
  resetByPeer(): void {}
  broken(): void {}
  writable(): void {}
}

/** How many heads with many fields a server may send before the client ends the connection. */
function headsUntilCutOff(streamOf: (count: number) => number, limit: number): number {
  const ignore = (): void => undefined;
  const output = new FrameWriter();
  const port: SessionPort = {
    output: () => output,
    isFull: () => false,
    opened: ignore,
    streamEnded: ignore,
    settingsChanged: ignore,
    peerLeaves: ignore,
    finished: ignore,
    failed: ignore,
    deferred: ignore,
    sendsOn: ignore,
    faulted: (error) => {
      throw error;
    },
    unanswered: ignore,
  };
  const session = new Http2Session<PatientStream>(port, {
    server: false,
    limits: modelLimits,
    streamsName: "requests",
    nowMs: 0,
    maxStreams: 1000,
    pingIntervalMs: 0,
    pingTimeoutMs: 0,
    pingsWhenIdle: false,
  });
  session.start();
  const writer = new FrameWriter();
  writer.settings([]);
  const fields = Array.from({ length: 90 }, (_field, index) => [`x-${index}`, "v"]).flat();
  const block = hpackEncode([":status", "200", ...fields]);
  let opened = 0;
  for (let count = 0; count < limit; count += 1) {
    for (; opened <= streamOf(count); opened += 1) {
      const stream = new PatientStream(session.claimId());
      session.adopt(stream);
      session.sendHeaders(stream, [":method", "CONNECT", ":authority", "a"], false);
    }
    writer.headers(2 * streamOf(count) + 1, block, false, modelLimits.maxFrameBytes);
    session.receive(Buffer.from(writer.view()), 0);
    writer.reuse();
    if (session.over) return count;
  }
  return limit;
}

test("a request pays for its response, however many fields that has, and for no further one", () => {
  assert.equal(
    headsUntilCutOff((count) => count, 500),
    500,
  );
  const cutOff = headsUntilCutOff(() => 0, 500);
  assert.ok(cutOff < modelLimits.maxIdleFramesPerSecond / 10, `after ${cutOff} heads`);
});
