import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteStreamHandler } from "../../net/index.ts";
import { TunnelStream, type TunnelOwner } from "./tunnel-stream.ts";

const nothing = (): void => undefined;

/** A tunnel whose peer the test is. */
function tunnel(): TunnelStream {
  const session = {
    sendData: (_: TunnelStream, bytes: Uint8Array) => bytes.length,
    congested: () => false,
    consumed: nothing,
    reset: nothing,
    ended: nothing,
    queuedBytesChanged: nothing,
  };
  const address = { address: "127.0.0.1", port: 15_008 };
  return new TunnelStream({ local: address, remote: address, session, headers: nothing } as unknown as TunnelOwner, 1);
}

/** Notes what a reader is told. */
function reader(told: string[]): ByteStreamHandler {
  return {
    data: (chunk) => void told.push(chunk.toString()),
    end: () => void told.push("end"),
    drain: nothing,
    close: () => void told.push("close"),
  };
}

test("the end of a paused tunnel is for the reader that resumes it, not for one that only waits", () => {
  for (const chunks of [[], ["hello"]]) {
    const stream = tunnel();
    const [waiting, reading]: [string[], string[]] = [[], []];
    stream.setHandler(reader(waiting));
    for (const chunk of chunks) stream.receive(Buffer.from(chunk), false);
    stream.endReceived();
    assert.deepEqual(waiting, []);
    stream.setHandler(reader(reading));
    stream.resume();
    assert.deepEqual([waiting, reading], [[], [...chunks, "end"]]);
  }
});

test("a tunnel that both sides have ended while it was paused closes after its reader knows", async () => {
  const stream = tunnel();
  const told: string[] = [];
  stream.setHandler(reader(told));
  stream.endReceived();
  stream.end();
  await Promise.resolve();
  assert.deepEqual([told, stream.closed], [[], false]);
  stream.resume();
  await Promise.resolve();
  assert.deepEqual([told, stream.closed], [["end", "close"], true]);
});
