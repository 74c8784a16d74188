import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import type { ByteStream, ByteStreamHandler } from "../../net/index.ts";
import { ChainWaiters } from "./chain-waiters.ts";

test("a connection that waits for its chain is given up when its client ends it, because nobody would tell the chain", async () => {
  for (const event of ["end", "close"] as const) {
    const waiters = new ChainWaiters(new HandClock());
    let handler: ByteStreamHandler | undefined;
    const stream = { setHandler: (given: ByteStreamHandler) => (handler = given) } as unknown as ByteStream;
    const chain = waiters.wait(stream, "10.0.0.1", 2_000, () => undefined);
    assert.equal(waiters.size, 1);
    if (event === "end") handler?.end();
    else handler?.close(undefined);
    assert.deepEqual([await chain, waiters.size], [undefined, 0], event);
  }
});
