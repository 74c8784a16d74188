import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { toSerinError } from "../../../base/index.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus } from "./grpc-status.ts";
import { FrameClient, framed, TestOwner } from "./testing/frame-client.ts";
import { unaryMethod } from "./unary-method.ts";

/** Answers each request with its length, after `ready`. */
function lengthOwner(ready = Promise.resolve()): TestOwner {
  const owner: TestOwner = new TestOwner((call) =>
    unaryMethod({
      answer: async (request) => {
        await ready;
        return Buffer.from(String(request.length));
      },
      statusOf: (error) => ({ status: grpcStatus.unavailable, message: toSerinError(error).message }),
      clock: owner.clock,
    })(call),
  );
  return owner;
}

async function greeted(owner: TestOwner): Promise<FrameClient> {
  const client = new FrameClient(owner);
  client.send();
  await client.takeFrames();
  return client;
}

/** A request of 60,000 bytes in a hundred compressed ones. */
function sendCompressed(client: FrameClient, id: number): void {
  const bytes = framed(gzipSync(Buffer.alloc(60_000)));
  bytes[0] = 1;
  client.head(id, ["grpc-encoding", "gzip"]);
  client.writer.data(id, bytes, 0, bytes.length, false);
  client.send();
}

test("a request that has arrived counts as the memory of its client until its call ends", async () => {
  const client = await greeted(lengthOwner());
  sendCompressed(client, 1);
  assert.deepEqual(await client.takeFrames(), []);
  sendCompressed(client, 3);
  assert.match(
    (await client.takeFrames())[0] ?? "",
    /^headers 3 :status 200 grpc-status 14 grpc-message too many requests from 10\.0\.0\.1 /,
  );
  client.writer.data(1, Buffer.alloc(0), 0, 0, true);
  client.send();
  assert.deepEqual(await client.takeFrames(), ["headers 1 :status 200", "data 1 10", "headers 1 grpc-status 0 end"]);
  assert.deepEqual(client.received.bodies.get(1), framed("60000"));
  sendCompressed(client, 5);
  assert.deepEqual(await client.takeFrames(), []);
});

test("a call whose request does not end in time ends with the reason, and an answer may take longer", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const owner = lengthOwner(promise);
  const client = await greeted(owner);
  sendCompressed(client, 1);
  client.head(3);
  client.request(3, "whole", true);
  client.send();
  await client.takeFrames();
  owner.clock.pass(30_000);
  assert.deepEqual(await client.takeFrames(), [
    "headers 1 :status 200 grpc-status 14 grpc-message the request must end within 30 s end",
    "rst 1 NO_ERROR",
  ]);
  resolve();
  assert.deepEqual(await client.takeFrames(), ["headers 3 :status 200", "data 3 6", "headers 3 grpc-status 0 end"]);
});

test("a request that is late because its connection waits for its turn is not refused", async () => {
  const owner = lengthOwner();
  const client = await greeted(owner);
  client.head(1);
  client.send();
  await client.takeFrames();
  client.connection.pauseReading();
  owner.clock.pass(grpcLimits.unaryRequestTimeoutMs);
  client.connection.resumeReading();
  assert.deepEqual(await client.takeFrames(), []);
  owner.clock.pass(grpcLimits.unaryRequestTimeoutMs);
  assert.match((await client.takeFrames()).join(), /grpc-status/);
});
